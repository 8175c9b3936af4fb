//! A trace as a tree.

use crate::Result;
use exporters::{Batch, Span, Status};
use std::fmt;

/// The spans of one trace, with the services they come from.
#[derive(Debug)]
pub(crate) struct Tree {
    spans: Vec<(String, Span)>,
}

impl Tree {
    /// Of all the spans in `batches`. They must be one trace, and nothing of it may be missing.
    pub(crate) fn new(batches: &[Batch]) -> Result<Self> {
        let mut spans = Vec::new();
        for batch in batches {
            let service = batch.resource().service_name().unwrap_or("?");
            let of = batch.spans().unwrap_or_default().iter();
            spans.extend(of.map(|span| (service.to_owned(), span.clone())));
        }
        spans.sort_by_key(|(_, span)| span.start);
        let tree = Self { spans };
        let all = || tree.spans.iter().map(|(_, span)| span);
        let [(_, root)] = tree.children([0; 8])[..] else { return Err("there is not one root".into()) };
        if all().any(|span| span.context.trace_id != root.context.trace_id) {
            return Err("there is more than one trace".into());
        }
        let is_known = |id| id == [0; 8] || all().any(|span| span.context.span_id == id);
        match all().find(|span| !is_known(span.parent_id)) {
            Some(span) => Err(format!("the parent of {} is missing", span.name).into()),
            None => Ok(tree),
        }
    }

    fn children(&self, parent: [u8; 8]) -> Vec<&(String, Span)> {
        self.spans.iter().filter(|(_, span)| span.parent_id == parent).collect()
    }

    /// Below `before` what happened in `parent`.
    fn draw(&self, f: &mut fmt::Formatter<'_>, parent: [u8; 8], before: &str) -> fmt::Result {
        let children = self.children(parent);
        for (n, (service, span)) in children.iter().enumerate() {
            let (branch, below) = match (parent, n + 1 == children.len()) {
                ([0, 0, 0, 0, 0, 0, 0, 0], _) => ("", ""),
                (_, true) => ("└─ ", "   "),
                (_, false) => ("├─ ", "│  "),
            };
            let name = span.name.strip_prefix("distributed::").unwrap_or(&span.name);
            let took = span.end.duration_since(span.start).unwrap_or_default().as_secs_f64() * 1e3;
            let status = match &span.status {
                Status::Error(what) => what,
                _ => "ok",
            };
            let (kind, name) = (format!("{:?}", span.kind).to_lowercase(), format!("{before}{branch}{name}"));
            writeln!(f, "{name:36} {kind:8} {service:8} {took:7.1} ms  {status}")?;
            self.draw(f, span.context.span_id, &format!("{before}{below}"))?;
        }
        Ok(())
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.draw(f, [0; 8], "")
    }
}

//! CSV, as RFC 4180 has it: a header, one line an item. Text that a spreadsheet would take for a formula is guarded by a `'`.
//!
//! The columns are `start,end,name,kind,unit,attributes,value,total,count,sum,max`, and one for each attribute beside the resource's;
//! of spans `trace_id,span_id,parent_id,name,start,duration_ns,status,attributes`. `attributes` is a JSON object, `{}` where there are
//! none, so that whatever stands in a key or a value can be told apart.

use super::{
    Rfc3339, Written, document,
    json::Json,
    walk::{Content, Item, Values, content, items},
};
use crate::{Attributes, Batch, Number, Span, Status};
use std::time::SystemTime;

pub(super) fn write(batch: &Batch, attributes: &[(&str, &str)], limit: usize, out: &mut Vec<u8>) -> Written {
    let mut csv = Csv { out, row: String::new(), json: Vec::new(), limit };
    let mut written = Written::default();
    let extra = |csv: &mut Csv<'_>, column: fn(&(&str, &str)) -> String| {
        attributes.iter().for_each(|attribute| csv.text(&column(attribute)));
    };
    let (key, value) =
        (|(key, _): &(&str, &str)| (*key).to_owned(), |(_, value): &(&str, &str)| (*value).to_owned());
    match content(batch) {
        Content::Metrics(metrics) => {
            for name in [
                "start",
                "end",
                "name",
                "kind",
                "unit",
                "attributes",
                "value",
                "total",
                "count",
                "sum",
                "max",
            ] {
                csv.cell(name);
            }
            extra(&mut csv, key);
            if !csv.end_row() {
                return written;
            }
            items(metrics, batch.range(), |item| {
                let ok = item.is_finite();
                if ok {
                    csv.time(metrics.interval.start);
                    csv.time(metrics.interval.end);
                    csv.item(&item);
                    extra(&mut csv, value);
                }
                let fits = !ok || csv.end_row();
                written.items += usize::from(fits);
                written.skipped += usize::from(!ok);
                fits
            });
        }
        Content::Spans(spans) => {
            for name in
                ["trace_id", "span_id", "parent_id", "name", "start", "duration_ns", "status", "attributes"]
            {
                csv.cell(name);
            }
            extra(&mut csv, key);
            if !csv.end_row() {
                return written;
            }
            let fitting = spans.iter().take_while(|span| {
                csv.span(span);
                extra(&mut csv, value);
                csv.end_row()
            });
            written.items = fitting.count();
        }
    }
    written
}

struct Csv<'a> {
    out: &'a mut Vec<u8>,
    row: String,
    /// The attributes, before they are quoted.
    json: Vec<u8>,
    limit: usize,
}

impl Csv<'_> {
    /// Ends the row, and leaves it out where the whole would become larger than the limit.
    fn end_row(&mut self) -> bool {
        // Every cell ends in a comma, the last one too.
        self.row.pop();
        self.row.push_str("\r\n");
        let fits = self.out.len() + self.row.len() <= self.limit;
        if fits {
            self.out.extend_from_slice(self.row.as_bytes());
        }
        self.row.clear();
        fits
    }

    /// A cell that needs neither quotes nor a guard.
    fn cell(&mut self, text: &str) {
        self.row.push_str(text);
        self.row.push(',');
    }

    /// Any text.
    fn text(&mut self, text: &str) {
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if formula || text.contains(['"', ',', '\r', '\n']) {
            self.row.push('"');
            if formula {
                self.row.push('\'');
            }
            for c in text.chars() {
                if c == '"' {
                    self.row.push('"');
                }
                self.row.push(c);
            }
            self.row.push('"');
        } else {
            self.row.push_str(text);
        }
        self.row.push(',');
    }

    fn time(&mut self, time: SystemTime) {
        self.cell(Rfc3339::new(time).as_str());
    }

    fn attributes(&mut self, attributes: &Attributes) {
        let mut json = std::mem::take(&mut self.json);
        json.clear();
        document::write_attributes(attributes, &mut Json(&mut json));
        self.text(&String::from_utf8_lossy(&json));
        self.json = json;
    }

    fn number(&mut self, number: Number) {
        match number {
            Number::U64(number) => self.cell(itoa::Buffer::new().format(number)),
            Number::I64(number) => self.cell(itoa::Buffer::new().format(number)),
            Number::F64(number) => self.cell(ryu::Buffer::new().format(number)),
        }
    }

    fn item(&mut self, item: &Item<'_>) {
        self.text(&item.metric.descriptor.name);
        self.cell(item.kind());
        self.text(&item.metric.descriptor.unit);
        self.attributes(&item.series.attributes);
        let (count, sum, max) = match item.values {
            Values::Sum { change, total, .. } => {
                self.number(change);
                self.number(total);
                return (0..3).for_each(|_| self.cell(""));
            }
            Values::Gauge(value) => {
                self.number(value);
                return (0..4).for_each(|_| self.cell(""));
            }
            Values::Histogram(histogram) => (histogram.count(), histogram.sum, None),
            Values::Exponential(histogram) => (histogram.count(), histogram.sum, histogram.max),
        };
        self.cell("");
        self.cell("");
        self.number(Number::U64(count));
        self.number(Number::F64(sum));
        match max {
            Some(max) => self.number(Number::F64(max)),
            None => self.cell(""),
        }
    }

    fn span(&mut self, span: &Span) {
        let hex = |bytes: &[u8]| bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        self.cell(&hex(&span.context.trace_id));
        self.cell(&hex(&span.context.span_id));
        self.cell(&if span.parent_id == [0; 8] { String::new() } else { hex(&span.parent_id) });
        self.text(&span.name);
        self.time(span.start);
        let duration = span.end.duration_since(span.start).unwrap_or_default();
        self.number(Number::U64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)));
        self.cell(match span.status {
            Status::Unset => "unset",
            Status::Ok => "ok",
            Status::Error(_) => "error",
        });
        self.attributes(&span.attributes);
    }
}

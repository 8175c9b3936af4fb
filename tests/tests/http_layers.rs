//! `tower` services whose requests are recorded: what is told of them, whose children they are, how they end.

use exporters::{
    Data, Number, Sampler, Span, SpanContext, SpanKind, Status, Value, current_span, profiled,
    set_span_attribute,
    tower::{HttpClientLayer, HttpServerLayer},
    update_span_name,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use std::{
    convert::Infallible,
    io::{Read, Write},
    net::TcpListener,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
};
use tests::spans;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SERVER: &str = "http.server.request";
const CLIENT: &str = "http.client.request";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

/// What one test records.
struct Recording(spans::Recording);

impl Deref for Recording {
    type Target = spans::Recording;
    fn deref(&self) -> &spans::Recording {
        &self.0
    }
}

impl Recording {
    fn with(sampler: &Sampler) -> Self {
        Self(spans::Recording::with(sampler))
    }

    fn all() -> Self {
        Self(spans::Recording::all())
    }

    #[track_caller]
    fn span(&self) -> Span {
        let [span] = <[Span; 1]>::try_from(self.spans()).expect("one span");
        span
    }

    /// The value of `metric` where the attributes are these; `None` if there is no such series.
    fn number(&self, metric: &str, function: &str, attributes: &[(&str, &str)]) -> Option<i64> {
        let snapshot = self.profiler.snapshot();
        let Data::Sum(sum) = &snapshot.metric(metric)?.data else { panic!("{metric} is no sum") };
        let is = |key: &str| attributes.iter().find(|(other, _)| *other == key).map(|(_, value)| *value);
        let point = sum.points.iter().find(|point| {
            let own = &point.series.attributes;
            let of_ours = |key: &str| !matches!(key, "function" | "module");
            let others = own.iter().filter(|attribute| of_ours(&attribute.key));
            own.get_str("function") == Some(function)
                && own.get_str("module") == Some("exporters::tower")
                && others.clone().count() == attributes.len()
                && others.clone().all(|attribute| is(&attribute.key) == Some(&attribute.value.to_string()))
        })?;
        Some(match point.total {
            Number::I64(n) => n,
            other => other.as_f64() as i64,
        })
    }

    fn calls(&self, function: &str, attributes: &[(&str, &str)]) -> Option<i64> {
        self.number("function.calls", function, attributes)
    }
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    span.attributes.get_str(key)
}

fn number(span: &Span, key: &str) -> Option<i64> {
    match span.attributes.get(key) {
        Some(Value::I64(n)) => Some(*n),
        _ => None,
    }
}

/// What resolves without being woken.
fn now<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
    }
}

fn get(url: &str) -> Request<()> {
    Request::get(url).body(()).unwrap()
}

/// Pending once.
async fn pause() {
    let mut first = true;
    std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

#[profiled]
async fn handler() -> Option<SpanContext> {
    pause().await;
    current_span()
}

/// Answers with the status that the path asks for, or in another way.
async fn answer(request: Request<()>) -> Result<Response<Option<SpanContext>>, std::fmt::Error> {
    let context = handler().await;
    let status = match request.uri().path() {
        "/error" => return Err(std::fmt::Error),
        "/panic" => std::panic::resume_unwind(Box::new(())),
        "/hang" => std::future::pending().await,
        path => path.strip_prefix('/').and_then(|path| path.parse().ok()).unwrap_or(StatusCode::OK),
    };
    let mut response = Response::new(context);
    *response.status_mut() = status;
    Ok(response)
}

/// The pattern, which a router has left with the request.
#[derive(Clone)]
struct Matched(&'static str);

fn routed() -> HttpServerLayer {
    HttpServerLayer::new().route(|request| Some(request.extensions.get::<Matched>()?.0.into()))
}

#[test]
fn a_server_tells_of_its_request() {
    let recording = Recording::all();
    let request = Request::put("/orders/17?card=4000")
        .version(Version::HTTP_11)
        .header("host", "shop.example:8080")
        .header("user-agent", "curl/8")
        .header("traceparent", format!("{PARENT}-01"))
        .header("tracestate", "vendor=1")
        .extension(Matched("/orders/{id}"))
        .body(())
        .unwrap();
    let response = now(routed().layer(service_fn(answer)).oneshot(request)).unwrap();
    let inside = response.into_body().unwrap();
    let [handler, server] = <[Span; 2]>::try_from(recording.spans()).unwrap();
    assert_eq!((&*server.name, server.kind), ("PUT /orders/{id}", SpanKind::Server));
    assert_eq!(server.status, Status::Unset);
    let parent = SpanContext::from_traceparent(&format!("{PARENT}-01")).unwrap();
    assert_eq!((server.context.trace_id, server.parent_id), (parent.trace_id, parent.span_id));
    assert!(server.parent_is_remote);
    assert_eq!(server.context.trace_state, "vendor=1");
    assert_eq!((handler.parent_id, handler.context.clone()), (server.context.span_id, inside));
    for (key, value) in [
        ("http.request.method", "PUT"),
        ("http.route", "/orders/{id}"),
        ("url.path", "/orders/17"),
        ("server.address", "shop.example"),
        ("user_agent.original", "curl/8"),
        ("network.protocol.version", "1.1"),
    ] {
        assert_eq!(text(&server, key), Some(value), "{key}");
    }
    assert_eq!(number(&server, "server.port"), Some(8080));
    assert_eq!(number(&server, "http.response.status_code"), Some(200));
    assert!(!format!("{server:?}").contains("4000"), "a query is told");
    let series = [("http.request.method", "PUT"), ("http.route", "/orders/{id}"), ("result", "ok")];
    assert_eq!(recording.calls(SERVER, &series), Some(1));
}

#[test]
fn what_is_not_known_is_not_told() {
    let recording = Recording::all();
    now(routed().layer(service_fn(answer)).oneshot(get("/"))).unwrap();
    let spans = recording.spans();
    let server = &spans[1];
    assert_eq!((&*server.name, server.parent_id), ("GET", [0; 8]));
    for key in
        ["http.route", "server.address", "server.port", "url.scheme", "url.query", "user_agent.original"]
    {
        assert_eq!(server.attributes.get(key), None, "{key}");
    }
    assert_eq!(recording.calls(SERVER, &[("http.request.method", "GET"), ("result", "ok")]), Some(1));
    // HTTP/2 says more, and of what is asked for some may be told.
    let request = Request::get("https://[::1]/a?b=c").version(Version::HTTP_2).body(()).unwrap();
    now(HttpServerLayer::new().with_query().layer(service_fn(answer)).oneshot(request)).unwrap();
    let spans = recording.spans();
    let server = &spans[1];
    assert_eq!((text(server, "url.scheme"), text(server, "url.query")), (Some("https"), Some("b=c")));
    assert_eq!((text(server, "server.address"), number(server, "server.port")), (Some("::1"), Some(443)));
    assert_eq!(text(server, "network.protocol.version"), Some("2"));
}

#[test]
fn a_client_tells_of_its_request() {
    let recording = Recording::all();
    let mut sent = None;
    let mut request = get("https://user:password@pay.example:8443/charge?card=4000");
    request.headers_mut().insert("traceparent", HeaderValue::from_static("mine"));
    let client = HttpClientLayer::new().layer(service_fn(|request: Request<()>| {
        sent = SpanContext::extract(request.headers());
        answer(request)
    }));
    now(client.oneshot(request)).unwrap();
    let [_, client] = <[Span; 2]>::try_from(recording.spans()).unwrap();
    assert_eq!((&*client.name, client.kind, client.parent_id), ("GET", SpanKind::Client, [0; 8]));
    assert_eq!(sent, Some(client.context.clone()));
    assert_eq!(text(&client, "url.full"), Some("https://pay.example:8443/charge"));
    assert_eq!(text(&client, "server.address"), Some("pay.example"));
    assert_eq!(number(&client, "server.port"), Some(8443));
    assert_eq!(number(&client, "http.response.status_code"), Some(200));
    assert_eq!(text(&client, "network.protocol.version"), Some("1.1"));
    assert!(!format!("{client:?}").contains("4000") && !format!("{client:?}").contains("password"));
    let server = [("server.address", "pay.example"), ("server.port", "8443")];
    let series = [&server[..], &[("http.request.method", "GET"), ("result", "ok")]].concat();
    assert_eq!(recording.calls(CLIENT, &series), Some(1));
    let whole = HttpClientLayer::new().with_query().layer(service_fn(answer));
    let mut request = get("/a?b=c");
    request.headers_mut().insert("host", HeaderValue::from_static("pay.example"));
    now(whole.clone().oneshot(request)).unwrap();
    now(whole.oneshot(get("http://[::1]/a?b=c"))).unwrap();
    let spans = recording.spans();
    // Nothing says how it is asked.
    assert_eq!((text(&spans[1], "server.address"), text(&spans[1], "url.full")), (Some("pay.example"), None));
    assert_eq!(text(&spans[3], "url.full"), Some("http://[::1]/a?b=c"));
    assert_eq!(
        (text(&spans[3], "server.address"), number(&spans[3], "server.port")),
        (Some("::1"), Some(80))
    );
}

#[test]
fn from_client_to_server_it_is_one_trace() {
    #[profiled]
    async fn checkout() {
        let server = HttpServerLayer::new().layer(service_fn(answer));
        let client = HttpClientLayer::new().layer(server);
        client.oneshot(get("http://pay.example/charge")).await.unwrap();
    }
    let recording = Recording::all();
    now(checkout());
    let [handler, server, client, checkout] = <[Span; 4]>::try_from(recording.spans()).unwrap();
    assert_eq!(checkout.parent_id, [0; 8]);
    let chain = [&checkout, &client, &server, &handler];
    for (parent, child) in chain.iter().zip(&chain[1..]) {
        assert_eq!(child.context.trace_id, parent.context.trace_id);
        assert_eq!(child.parent_id, parent.context.span_id, "{} of {}", child.name, parent.name);
        assert_eq!(child.parent_is_remote, child.kind == SpanKind::Server);
        assert!(parent.start <= child.start && child.end <= parent.end);
    }
}

#[test]
fn a_trace_that_is_not_sampled_is_told_as_such() {
    let recording = Recording::with(&Sampler::parent_based(Sampler::TraceIdRatio(0.0)));
    let mut sent = None;
    let server = HttpServerLayer::new().layer(service_fn(answer));
    let client = HttpClientLayer::new().layer(service_fn(|request: Request<()>| {
        sent = SpanContext::extract(request.headers());
        server.clone().oneshot(request)
    }));
    let inside = now(client.oneshot(get("http://pay.example/"))).unwrap().into_body();
    let sent = sent.expect("it is told");
    assert!(!sent.is_sampled());
    assert_eq!(inside, Some(sent));
    assert!(recording.spans().is_empty());
    assert_eq!(recording.calls(SERVER, &[("http.request.method", "GET"), ("result", "ok")]), Some(1));
}

#[test]
fn without_spans_what_was_told_is_passed_on() {
    let turn = spans::Recording::turn();
    let profiler = exporters::test();
    let mut sent = None;
    let client = HttpClientLayer::new().layer(service_fn(|request: Request<()>| {
        sent = SpanContext::extract(request.headers());
        answer(request)
    }));
    let server = HttpServerLayer::new().layer(client);
    let mut request = get("/");
    request.headers_mut().insert("traceparent", HeaderValue::try_from(format!("{PARENT}-01")).unwrap());
    now(server.oneshot(request)).unwrap();
    assert_eq!(sent.unwrap().to_traceparent(), format!("{PARENT}-01"));
    assert_eq!(profiler.snapshot().function(SERVER).total_calls(), 1);
    drop((profiler, turn));
}

#[test]
fn while_nothing_is_recorded_requests_are_left_alone() {
    let _turn = spans::Recording::turn();
    let layers = ServiceBuilder::new().layer(routed()).layer(HttpClientLayer::new());
    let service = layers.service(service_fn(|request: Request<()>| {
        assert!(current_span().is_none() && request.headers().len() == 1);
        answer(request)
    }));
    let mut request = get("http://shop.example/");
    request.headers_mut().insert("traceparent", HeaderValue::from_static("00-zero"));
    now(service.oneshot(request)).unwrap();
    let profiler = exporters::test();
    let snapshot = profiler.snapshot();
    assert_eq!((snapshot.function(SERVER).total_calls(), snapshot.function(CLIENT).total_calls()), (0, 0));
    assert!(!format!("{snapshot:?}").contains(SERVER), "what nobody has called is shown");
}

#[test]
fn hostile_requests_harm_nobody() {
    let recording = Recording::all();
    let long = format!("k={}", "v".repeat(600));
    let agent = vec![b'x'; 100_000];
    let headers: [(&str, &[u8]); 10] = [
        ("traceparent", b"00-00000000000000000000000000000000-0000000000000000-01"),
        ("traceparent", b"\xff\xfe\x80"),
        ("traceparent", &agent),
        ("tracestate", long.as_bytes()),
        ("tracestate", b"\xff=\xfe"),
        ("host", b""),
        ("host", b"user:password@[::1]:99999"),
        ("host", b"\xff:80:80/#?"),
        ("user-agent", b"\xffgood\xfe"),
        ("user-agent", &agent),
    ];
    for (name, value) in headers {
        let mut request = get("/");
        if name == "tracestate" {
            let parent = HeaderValue::try_from(format!("{PARENT}-01")).unwrap();
            request.headers_mut().insert("traceparent", parent);
        }
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
        let both = ServiceBuilder::new().layer(HttpServerLayer::new()).layer(HttpClientLayer::new());
        now(both.service(service_fn(answer)).oneshot(request)).unwrap();
        let spans = recording.spans();
        let server = &spans[2];
        assert_eq!((spans.len(), server.kind, server.status.clone()), (3, SpanKind::Server, Status::Unset));
        assert_eq!(server.parent_is_remote, name == "tracestate");
        assert_eq!(server.context.trace_state, "");
        assert!(!format!("{spans:?}").contains("password"));
        let agent = text(server, "user_agent.original");
        assert!(agent.is_none_or(|agent| agent == "\u{fffd}good\u{fffd}" || agent.len() == 4095));
    }
    // Whoever sends many methods makes one series.
    for n in 0..3000 {
        let method = Method::from_bytes(format!("M{n}").as_bytes()).unwrap();
        let request = Request::builder().method(method).uri("*").body(()).unwrap();
        now(HttpServerLayer::new().layer(service_fn(answer)).oneshot(request)).unwrap();
    }
    let spans = recording.spans();
    let last = spans.last().unwrap();
    assert_eq!((&*last.name, text(last, "http.request.method")), ("HTTP", Some("_OTHER")));
    assert_eq!(text(last, "http.request.method_original"), Some("M2999"));
    assert_eq!(recording.calls(SERVER, &[("http.request.method", "_OTHER"), ("result", "ok")]), Some(3000));
}

#[test]
fn a_request_ends_in_one_way() {
    let recording = Recording::all();
    let ways: [(&str, Option<&str>, Option<&str>); 6] = [
        ("/204", None, None),
        ("/404", None, Some("404")),
        ("/503", Some("503"), Some("503")),
        ("/error", Some("core::fmt::Error"), Some("core::fmt::Error")),
        ("/panic", Some("panic"), Some("panic")),
        ("/hang", Some("cancelled"), Some("cancelled")),
    ];
    for (path, server, client) in ways {
        {
            let both = ServiceBuilder::new().layer(HttpClientLayer::new()).layer(HttpServerLayer::new());
            let mut future = Box::pin(both.service(service_fn(answer)).oneshot(get(path)));
            let mut cx = Context::from_waker(Waker::noop());
            // `handler` is pending once.
            assert!(future.as_mut().poll(&mut cx).is_pending());
            assert_eq!(
                recording.number("function.calls.concurrent", SERVER, &[("http.request.method", "GET")]),
                Some(1)
            );
            let _end = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx).is_ready()));
        }
        assert_eq!(
            recording.number("function.calls.concurrent", SERVER, &[("http.request.method", "GET")]),
            Some(0)
        );
        let [_, inner, outer] = <[Span; 3]>::try_from(recording.spans()).unwrap();
        for (span, function, failure) in [(inner, SERVER, server), (outer, CLIENT, client)] {
            assert_eq!(text(&span, "error.type"), failure, "{function} {path}");
            let status = failure.map_or(Status::Unset, |failure| Status::Error(failure.to_owned().into()));
            assert_eq!(span.status, status);
            let code = path[1..].parse().ok();
            assert_eq!(number(&span, "http.response.status_code"), code);
            let method = ("http.request.method", "GET");
            let counted = match failure {
                None => recording.calls(function, &[method, ("result", "ok")]),
                Some("cancelled") => recording.calls(function, &[method, ("result", "cancelled")]),
                Some(failure) => {
                    recording.calls(function, &[method, ("result", "error"), ("error.type", failure)])
                }
            };
            assert!(counted.is_some_and(|counted| counted > 0), "{function} {path}");
        }
    }
    assert_eq!(recording.profiler.snapshot().function(SERVER).total_calls(), 6);
}

#[test]
fn what_happens_before_there_is_a_future_is_part_of_the_request() {
    #[profiled]
    fn parse() {}
    let recording = Recording::all();
    let service = HttpServerLayer::new().layer(service_fn(|request: Request<()>| {
        parse();
        set_span_attribute("parsed", true);
        if request.uri().path() == "/panic" {
            std::panic::resume_unwind(Box::new(()));
        }
        std::future::ready(Ok::<_, Infallible>(Response::new(())))
    }));
    let mut server = service;
    let future = server.call(get("/"));
    assert_eq!(current_span(), None);
    now(future).unwrap();
    let [parse, request] = <[Span; 2]>::try_from(recording.spans()).unwrap();
    assert_eq!(parse.parent_id, request.context.span_id);
    assert_eq!(request.attributes.get("parsed"), Some(&Value::Bool(true)));
    assert!(catch_unwind(AssertUnwindSafe(|| server.call(get("/panic")))).is_err());
    let spans = recording.spans();
    assert_eq!(spans[1].status, Status::Error("panic".into()));
    // One that nobody polls is over when it is dropped.
    drop(server.call(get("/")));
    assert_eq!(recording.spans()[1].status, Status::Error("cancelled".into()));
}

#[test]
fn the_program_has_the_last_word() {
    let recording = Recording::all();
    let service = HttpServerLayer::new().layer(service_fn(|_: Request<()>| async {
        pause().await;
        update_span_name("GET /named");
        set_span_attribute("http.route", "/named");
        Ok::<_, Infallible>(Response::new(()))
    }));
    now(service.oneshot(get("/"))).unwrap();
    let span = recording.span();
    assert_eq!((&*span.name, text(&span, "http.route")), ("GET /named", Some("/named")));
}

/// Must be asked whether it is ready before each call, and is so at the second time.
#[derive(Clone, Default)]
struct Picky {
    asked: u32,
}

impl Service<Request<()>> for Picky {
    type Response = Response<()>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<()>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.asked += 1;
        if self.asked < 2 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.asked) >= 2, "nobody asked");
        std::future::ready(Ok(Response::new(())))
    }
}

#[test]
fn a_service_is_called_when_it_is_ready() {
    let recording = Recording::all();
    let both = ServiceBuilder::new().layer(HttpServerLayer::new()).layer(HttpClientLayer::new());
    let mut service = both.concurrency_limit(1).service(Picky::default());
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        assert!(service.poll_ready(&mut cx).is_pending());
        assert!(service.poll_ready(&mut cx).is_ready());
        let future = service.call(get("http://shop.example/"));
        // The only place is taken.
        assert!(service.poll_ready(&mut cx).is_pending());
        now(future).unwrap();
    }
    assert_eq!(recording.spans().len(), 6);
}

#[test]
fn requests_that_run_at_the_same_time_keep_apart() {
    let recording = Recording::all();
    let server = HttpServerLayer::new().layer(service_fn(answer));
    let threads: Vec<_> = (0..4u128)
        .map(|thread| {
            let server = server.clone();
            thread::spawn(move || {
                let requests = (0..50).map(|n| thread * 50 + n).map(|n| {
                    let mut request = get("/");
                    let parent = format!("00-{:032x}-00f067aa0ba902b7-{:02x}", n + 1, n % 2);
                    request.headers_mut().insert("traceparent", HeaderValue::try_from(parent).unwrap());
                    (n, Box::pin(server.clone().oneshot(request)))
                });
                let mut requests: Vec<_> = requests.collect();
                let mut cx = Context::from_waker(Waker::noop());
                while !requests.is_empty() {
                    requests.retain_mut(|(n, request)| match request.as_mut().poll(&mut cx) {
                        Poll::Ready(response) => {
                            let context = response.unwrap().into_body().unwrap();
                            assert_eq!(u128::from_be_bytes(context.trace_id), *n + 1);
                            assert_eq!(u128::from(context.flags), *n % 2);
                            false
                        }
                        Poll::Pending => true,
                    });
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let spans = recording.spans();
    assert_eq!(spans.len(), 200);
    assert!(spans.iter().all(|span| span.context.trace_id[15] % 2 == 0));
}

#[test]
fn reqwest_is_a_client_like_any_other() {
    let recording = Recording::all();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        stream.write_all(b"HTTP/1.1 418 \r\ncontent-length: 0\r\n\r\n").unwrap();
        String::from_utf8(head).unwrap()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Who switches TLS on in reqwest must choose, also where it is not used.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = ServiceBuilder::new().layer(HttpClientLayer::new()).service(client);
    let request = |url: String| reqwest::Request::new(Method::POST, url.parse().unwrap());
    let url = format!("http://user:password@{address}/tea?sugar=2");
    let response = runtime.block_on(client.clone().oneshot(request(url))).unwrap();
    assert_eq!(response.status(), 418);
    let head = server.join().unwrap();
    let span = recording.span();
    let sent = head.lines().find_map(|line| line.strip_prefix("traceparent: ")).unwrap();
    assert_eq!(sent, span.context.to_traceparent());
    assert_eq!(text(&span, "url.full"), Some(&*format!("http://{address}/tea")));
    assert_eq!((&*span.name, text(&span, "error.type")), ("POST", Some("418")));
    assert_eq!(number(&span, "server.port"), Some(address.port().into()));
    // Nobody listens any more.
    let refused = runtime.block_on(client.oneshot(request(format!("http://{address}/"))));
    assert!(refused.is_err());
    assert_eq!(text(&recording.span(), "error.type"), Some("reqwest::error::Error"));
}

#[test]
fn all_can_be_shown_sent_and_cloned() {
    fn check<T: Clone + std::fmt::Debug + Send + Sync + 'static>(value: T) -> String {
        format!("{:?}", value.clone())
    }
    assert_eq!(check(routed()), "HttpServerLayer { route: true, with_query: false }");
    assert_eq!(check(HttpClientLayer::new().with_query()), "HttpClientLayer { with_query: true }");
    check(HttpServerLayer::new().layer(()));
    check(Arc::new(HttpClientLayer::new().layer(())));
    fn sends<F: Send + std::fmt::Debug>(future: F) -> String {
        format!("{future:?}")
    }
    let mut server = HttpServerLayer::new().layer(HttpClientLayer::new().layer(Picky { asked: 2 }));
    assert!(sends(server.call(get("/"))).starts_with("ResponseFuture"));
}

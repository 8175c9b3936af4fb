//! Without a prelude, and without unsafe code.
#![no_implicit_prelude]
#![forbid(unsafe_code)]
#![deny(warnings)]

#[derive(::std::fmt::Debug, ::serde::Deserialize, ::exporters::Exporter)]
#[exporter(kind = "bare", encode = csv, max_items = 5, max_bytes = 1_000, health = Self::look)]
#[metric(calls = "function.calls", kind = rate, unit = "1", help = "Calls")]
#[metric(none = |_| ::std::option::Option::None)]
struct Bare {
    #[exporter(attribute = "name")]
    name: ::std::string::String,
    #[serde(default)]
    token: ::std::option::Option<::exporters::Secret>,
}

impl Bare {
    async fn look(&self) -> ::exporters::Health {
        ::exporters::Health::Unhealthy(::exporters::Error::new(::exporters::ErrorKind::Unavailable, "away"))
    }
}

impl ::exporters::Transmit for Bare {
    async fn transmit(&self, payload: ::exporters::Payload) -> ::exporters::Result<::exporters::Receipt> {
        ::std::result::Result::Ok(payload.receipt())
    }
}

fn main() {
    let bare = Bare { name: ::std::string::String::new(), token: ::std::option::Option::None };
    let health = ::std::boxed::Box::pin(::exporters::Exporter::health(&bare));
    let mut context = ::std::task::Context::from_waker(::std::task::Waker::noop());
    let mut health = health;
    match ::std::future::Future::poll(health.as_mut(), &mut context) {
        ::std::task::Poll::Ready(health) => ::std::assert!(!health.is_healthy()),
        ::std::task::Poll::Pending => ::std::panic!("it should have been ready"),
    }
}

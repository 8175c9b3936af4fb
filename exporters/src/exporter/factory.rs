//! Makes exporters by the name of their kind. Every kind registers itself at link time.

use super::AnyExporter;
use crate::{Error, ErrorKind, Exporter, Result, Settings, settings::nearest};
use serde::de::DeserializeOwned;

/// A kind of exporter: what `type:` names in a configuration file.
#[derive(Debug)]
pub struct Registration {
    kind: &'static str,
    /// Where it is written: `crate::module::Type`, file and line.
    place: (&'static str, &'static str, u32),
    build: fn(Settings) -> Result<AnyExporter>,
}

inventory::collect!(Registration);

/// Exporters that a configuration can make.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be made from settings",
    label = "does not implement `serde::Deserialize`",
    note = "derive `serde::Deserialize` for it, or keep it out of configuration files: `#[exporter(register = false)]`"
)]
pub trait FromSettings: Exporter + Sized {
    /// The exporter that `settings` describe.
    ///
    /// # Errors
    /// As [`Settings::read`].
    fn from_settings(settings: Settings) -> Result<Self>;
}

#[diagnostic::do_not_recommend]
impl<E: Exporter + DeserializeOwned> FromSettings for E {
    fn from_settings(settings: Settings) -> Result<Self> {
        settings.read()
    }
}

impl Registration {
    /// A kind whose settings are the exporter itself.
    pub const fn of<E: FromSettings>(
        kind: &'static str,
        path: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self::new(kind, path, file, line, |settings| E::from_settings(settings).map(AnyExporter::new))
    }

    /// A kind that `build` makes.
    pub const fn new(
        kind: &'static str,
        path: &'static str,
        file: &'static str,
        line: u32,
        build: fn(Settings) -> Result<AnyExporter>,
    ) -> Self {
        Self { kind, place: (path, file, line), build }
    }

    /// An exporter.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where the settings are wrong.
    pub(crate) fn build(&self, settings: Settings) -> Result<AnyExporter> {
        (self.build)(settings)
    }

    fn place(&self) -> String {
        let (path, file, line) = self.place;
        format!("{path} ({file}:{line})")
    }
}

/// The kinds there are.
#[derive(Debug)]
pub(crate) struct Kinds(Vec<&'static Registration>);

impl Kinds {
    /// Those that are `built_in`, and all that registered.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where two have one name; it names both places.
    pub(crate) fn registered(built_in: &'static [Registration]) -> Result<Self> {
        let mut kinds: Vec<_> = inventory::iter::<Registration>.into_iter().chain(built_in).collect();
        // The linker gives them in any order.
        kinds.sort_by_key(|registration| (registration.kind, registration.place));
        for pair in kinds.windows(2) {
            if let [one, other] = pair
                && one.kind == other.kind
            {
                return Err(Error::new(
                    ErrorKind::ConfigInvalid,
                    "two exporters are registered as one kind; give one of them another `kind`",
                )
                .with_context("kind", one.kind)
                .with_context("one", one.place())
                .with_context("other", other.place()));
            }
        }
        Ok(Self(kinds))
    }

    /// Their names, sorted.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.0.iter().map(|registration| registration.kind).collect()
    }

    /// What makes exporters of `kind`.
    ///
    /// # Errors
    /// [`ConfigInvalid`](ErrorKind::ConfigInvalid) where there is no such kind.
    pub(crate) fn find(&self, kind: &str) -> Result<&'static Registration> {
        let found = self.0.iter().find(|registration| registration.kind == kind);
        found.copied().ok_or_else(|| self.unknown(kind))
    }

    fn unknown(&self, kind: &str) -> Error {
        let names = self.names();
        let message = format!(
            "there is no exporter of this kind{}; registered are {}. One from a crate that the program never names is \
             left out by the linker: say `use that_crate as _;`. A built-in one may need a feature of `exporters`",
            nearest(kind, &names),
            names.join(", "),
        );
        Error::new(ErrorKind::ConfigInvalid, message).with_context("kind", kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Payload, Receipt, Secret, Transmit,
        settings::{Node, Origin, Scope},
    };
    use serde::Deserialize;

    #[derive(Debug, Deserialize, crate::Exporter)]
    #[exporter(kind = "in-test", crate = crate)]
    struct InTest {
        endpoint: crate::Endpoint,
        token: Secret,
        #[serde(default)]
        port: u16,
    }

    impl Transmit for InTest {
        async fn transmit(&self, payload: Payload) -> Result<Receipt> {
            Ok(payload.receipt())
        }
    }

    fn build(kind: &str, variables: &[(&str, &str)]) -> Result<AnyExporter> {
        let environment = variables.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        let scope = Scope::new(environment, &format!("PROFILING_{kind}"));
        let settings = Settings { node: Node::empty(Origin::Code), path: String::new(), scope };
        Kinds::registered(&[])?.find(kind)?.build(settings)
    }

    #[test]
    fn a_kind_is_made_from_settings() {
        let endpoint = ("PROFILING_IN_TEST_ENDPOINT", "https://acme.example/v1");
        let all = [endpoint, ("PROFILING_IN_TEST_TOKEN", "hunter2"), ("PROFILING_IN_TEST_PORT", "80")];
        let exporter = build("in-test", &all).unwrap();
        assert_eq!(exporter.info().kind, "in-test");
        let expected = "InTest { endpoint: https://acme.example/v1, token: [REDACTED], port: 80 }";
        assert_eq!(format!("{exporter:?}"), expected);
        let missing = build("in-test", &[endpoint]).unwrap_err().to_string();
        assert!(missing.contains("required") && missing.contains("setting: token"), "{missing}");
    }

    #[test]
    fn a_kind_that_is_not_there_is_told_with_the_nearest() {
        assert!(crate::kinds().unwrap().contains(&"in-test"));
        let error = build("in-tset", &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        assert!(error.to_string().contains("did you mean `in-test`?"), "{error}");
    }
}

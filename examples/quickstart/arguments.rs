//! The command line of the quickstart.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf};

pub(crate) const HELP: &str = "\
Usage: quickstart [OPTIONS] [DIR]

Reads all files below DIR (default: the sources of this workspace), counts their words, compresses
and hashes them, and prints where the time went. Links, files over 16 MiB, and the directories .git
and target are left out.

Options:
  --serve          go on, a round a second, and serve the metrics until interrupted
  --listen ADDR    serve on ADDR, not 127.0.0.1:9464 (port 0: a free one); implies --serve
  --rounds N       work for N rounds (default: 1; with --serve: without end)
  -h, --help       print this
";

/// What the user asked for.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) directory: PathBuf,
    /// Where to serve the metrics, if at all.
    pub(crate) listen: Option<SocketAddr>,
    /// How many times to go over the directory; `None`: until interrupted.
    pub(crate) rounds: Option<u64>,
    pub(crate) help: bool,
}

impl Arguments {
    /// Reads the arguments that follow the program's name. The error is one line for the user.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut directory, mut listen, mut rounds) = (None, None, None);
        let (mut serve, mut help) = (false, false);
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.to_str() {
                Some("--serve") => serve = true,
                Some("--listen") => {
                    listen = Some(value(&mut arguments, "--listen", "an address such as 127.0.0.1:9464")?);
                }
                Some("--rounds") => {
                    rounds = Some(value(&mut arguments, "--rounds", "a whole number such as 3")?);
                }
                Some("-h" | "--help") => help = true,
                Some(flag) if flag.starts_with('-') => {
                    return Err(format!("unknown option {flag} (--help lists them)"));
                }
                _ if directory.is_some() => {
                    return Err(format!("one directory only, not {} as well", argument.display()));
                }
                _ => directory = Some(PathBuf::from(argument)),
            }
        }
        if serve && listen.is_none() {
            listen = Some(SocketAddr::from(([127, 0, 0, 1], 9464)));
        }
        Ok(Self {
            directory: directory.unwrap_or_else(sources),
            rounds: rounds.or(if listen.is_none() { Some(1) } else { None }),
            listen,
            help,
        })
    }
}

/// The value that follows `option`; `expected` says what it should have been.
fn value<T: std::str::FromStr>(
    arguments: &mut impl Iterator<Item = OsString>,
    option: &str,
    expected: &str,
) -> Result<T, String> {
    let Some(text) = arguments.next() else { return Err(format!("{option}: {expected} is missing")) };
    let parsed = text.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| format!("{option}: expected {expected}, not {}", text.display()))
}

/// The workspace this program was built from.
fn sources() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package.parent().map(PathBuf::from).unwrap_or(package)
}

//! A site for each callsite of `tracing`, made when its first span is.

use crate::record::{
    alloc::uncounted,
    site::{BARE, Site},
};
use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{BuildHasherDefault, DefaultHasher},
    ptr,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tracing::Metadata;

/// By the address of what is known of a callsite, which is static.
type Sites = HashMap<usize, &'static Site, BuildHasherDefault<DefaultHasher>>;

static SITES: Mutex<Sites> = Mutex::new(HashMap::with_hasher(BuildHasherDefault::new()));

thread_local! {
    /// Those that the thread has met.
    static MET: RefCell<Sites> = const { RefCell::new(HashMap::with_hasher(BuildHasherDefault::new())) };
}

/// Held over a fork, so that no thread has it that the child does not have.
pub(in super::super) struct SitesGuard(
    #[expect(dead_code, reason = "it is only held")] MutexGuard<'static, Sites>,
);

pub(in super::super) fn sites() -> SitesGuard {
    SitesGuard(all())
}

fn all() -> MutexGuard<'static, Sites> {
    SITES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The site of a callsite.
pub(super) fn of(callsite: &'static Metadata<'static>) -> &'static Site {
    let key = ptr::from_ref(callsite).addr();
    let meet = || *all().entry(key).or_insert_with(|| make(callsite));
    let met = MET.try_with(|met| uncounted(|| *met.borrow_mut().entry(key).or_insert_with(meet)));
    met.unwrap_or_else(|_| uncounted(meet))
}

fn make(callsite: &'static Metadata<'static>) -> &'static Site {
    let module = callsite.module_path().unwrap_or_else(|| callsite.target());
    let package = module.split("::").next().unwrap_or_default();
    let (line, file) = (callsite.line().unwrap_or_default(), callsite.file().unwrap_or_default());
    let site = Site::leaked(module, format!("{package}\0\0{line}{BARE}\0{file}\0{}", callsite.name()));
    // Between being entered and left, and between being made and closed, are two times.
    site.state().set_async();
    site
}

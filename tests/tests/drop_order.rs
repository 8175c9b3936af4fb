//! A profiled function drops its arguments and locals in the order that the bare one does, and as early or late.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use exporters::profiled;

thread_local! { static DROPPED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) }; }

struct Loud(&'static str);
impl Drop for Loud {
    fn drop(&mut self) {
        DROPPED.with_borrow_mut(|dropped| dropped.push(self.0));
    }
}
fn mark(what: &'static str) {
    DROPPED.with_borrow_mut(|dropped| dropped.push(what));
}
fn dropped(run: impl FnOnce()) -> Vec<&'static str> {
    DROPPED.take();
    run();
    DROPPED.take()
}

struct Pair {
    left: Loud,
    right: Loud,
}

/// Is pending once.
struct Once(bool);
impl Future for Once {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Each function twice: bare, and profiled.
macro_rules! both {
    ($($body:item)*) => {
        mod bare {
            use super::*;
            $($body)*
        }
        #[profiled]
        mod profiled {
            use super::*;
            $($body)*
        }
    };
}

both! {
    pub(super) fn used(a: Loud, b: Loud, _unused: Loud, _: Loud) -> &'static str {
        let _local = Loud("local");
        let name = a.0;
        mark("body");
        let _ = (&b, &a);
        name
    }

    pub(super) fn moved(a: Loud, b: Loud, early: bool) -> Option<Loud> {
        let _local = Loud("local");
        if early {
            return Some(b);
        }
        drop(a);
        mark("body");
        None
    }

    pub(super) fn patterns((a, _): (Loud, Loud), Pair { left, .. }: Pair, [first, ref second]: [Loud; 2], _: Loud) {
        mark("body");
        let _ = (&left, &first, &second, &a);
    }

    pub(super) async fn used_later(a: Loud, b: Loud, _unused: Loud, _: Loud, (c, _): (Loud, Loud)) -> &'static str {
        let _local = Loud("local");
        mark("body");
        Once(false).await;
        mark("resumed");
        let _ = (&b, &c);
        a.0
    }

    pub(super) async fn moved_later(a: Loud, mut b: Option<Loud>, early: bool) -> Option<Loud> {
        let _local = Loud("local");
        if early {
            return b.take();
        }
        drop(a);
        Once(false).await;
        None
    }

    pub(super) struct Whole(pub(super) Pair);

    impl Whole {
        pub(super) fn part(self, _more: Loud) -> usize {
            mark("body");
            self.0.left.0.len()
        }
        pub(super) fn taken(self, more: Loud) -> Loud {
            let _ = &more;
            self.0.left
        }
        pub(super) async fn part_later(self, _more: Loud) -> usize {
            Once(false).await;
            mark("body");
            self.0.left.0.len()
        }
        pub(super) async fn unused_later(self, more: Loud) -> usize {
            let _local = Loud("local");
            more.0.len()
        }
        pub(super) async fn taken_later(mut self, _more: Loud) -> Loud {
            self.0.right = Loud("new");
            self.0.left
        }
    }
}

fn pair() -> Pair {
    Pair { left: Loud("left"), right: Loud("right") }
}

/// Polls a future this often, then drops it.
fn poll<F: Future>(future: F, times: usize) {
    mark("made");
    let mut future = Box::pin(future);
    for _ in 0..times {
        if future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
            mark("ready");
            break;
        }
        mark("pending");
    }
    drop(future);
    mark("dropped");
}

macro_rules! same {
    ($($call:tt)*) => {
        let bare = dropped(|| {
            use bare::*;
            $($call)*;
        });
        let profiled = dropped(|| {
            use profiled::*;
            $($call)*;
        });
        assert!(!bare.is_empty());
        assert_eq!(bare, profiled, "{}", stringify!($($call)*));
    };
}

#[test]
fn sync_functions() {
    let _profiler = exporters::test();
    same!(used(Loud("a"), Loud("b"), Loud("unused"), Loud("wild")));
    same!(moved(Loud("a"), Loud("b"), true));
    same!(moved(Loud("a"), Loud("b"), false));
    same!(patterns((Loud("a"), Loud("tail")), pair(), [Loud("first"), Loud("second")], Loud("wild")));
}

#[test]
fn async_functions() {
    let _profiler = exporters::test();
    for times in [0, 1, 2] {
        same!(poll(
            used_later(Loud("a"), Loud("b"), Loud("unused"), Loud("wild"), (Loud("c"), Loud("tail"))),
            times
        ));
        same!(poll(moved_later(Loud("a"), Some(Loud("b")), true), times));
        same!(poll(moved_later(Loud("a"), Some(Loud("b")), false), times));
    }
}

#[test]
fn methods() {
    let _profiler = exporters::test();
    same!(Whole(pair()).part(Loud("more")));
    same!(Whole(pair()).taken(Loud("more")));
    for times in [0, 1, 2] {
        same!(poll(Whole(pair()).part_later(Loud("more")), times));
        same!(poll(Whole(pair()).unused_later(Loud("more")), times));
        same!(poll(Whole(pair()).taken_later(Loud("more")), times));
    }
}

use exporters::profiled;

use std::rc::Rc;

#[profiled]
async fn local(n: Rc<u8>) -> u8 {
    std::future::ready(()).await;
    *n
}

fn main() {
    fn is_send(_: impl Send) {}
    is_send(local(Rc::new(1)));
}

use exporters::profiled;

trait Store {
    #[profiled]
    fn get(&self) -> u8;
    #[profiled]
    async fn put(&self);
}

unsafe extern "C" {
    #[profiled]
    fn abs(n: i32) -> i32;
}

struct S;
impl Store for S {
    fn get(&self) -> u8 {
        1
    }
    async fn put(&self) {}
}

fn main() {
    S.get();
    let _ = S.put();
    unsafe { abs(1) };
}

use exporters::profiled;

struct S;

#[profiled]
impl S {
    #[profiled(nam = "x")]
    fn a(&self) {}
    #[profiled(time_one_in = 0)]
    fn b(&self) {}
}

mod m {
    #[exporters::profiled]
    pub mod inner {
        #[exporters::profiled(kind = "clinet")]
        pub fn c() {}
    }
}

fn main() {
    S.a();
    S.b();
    m::inner::c();
}

use exporters::profiled;

#[profiled]
struct Cart {
    total: u8,
}

#[profiled]
enum Kind {
    Small,
}

#[profiled]
union Raw {
    byte: u8,
}

#[profiled]
type Alias = Cart;

fn main() {
    let cart: Alias = Cart { total: 1 };
    let _ = (cart.total, Kind::Small, Raw { byte: 1 });
}

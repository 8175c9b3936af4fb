use exporters::{Exporter, Payload, Receipt, Result, Transmit};

#[derive(Debug, Exporter)]
#[exporter(kind = "enum")]
enum Enum {
    Acme,
}

#[derive(Clone, Copy, Exporter)]
union Union {
    number: u32,
    bytes: [u8; 4],
}

#[derive(Debug, Exporter)]
struct Generic<'a, T: Send, const N: usize> {
    name: &'a str,
    list: [T; N],
}

impl Transmit for Enum {
    async fn transmit(&self, payload: Payload) -> Result<Receipt> {
        Ok(payload.receipt())
    }
}

impl std::fmt::Debug for Union {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        Ok(())
    }
}

fn main() {
    exporters::AnyExporter::new(Enum::Acme);
}

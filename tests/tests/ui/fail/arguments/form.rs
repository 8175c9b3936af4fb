use exporters::profiled;

#[profiled(name("checkout"))]
fn name_group() {}

#[profiled(name = checkout)]
fn name_word() {}

#[profiled(name = "")]
fn name_empty() {}

#[profiled(attributes = "queue")]
fn attributes_value() {}

#[profiled(slo = 99.9)]
fn slo_value() {}

#[profiled(span = "no")]
fn span_text() {}

#[profiled("checkout")]
fn text() {}

#[profiled(span = true kind = "server")]
fn comma() {}

#[profiled(error_type)]
fn no_value() {}

fn main() {
    name_group();
    name_word();
    name_empty();
    attributes_value();
    slo_value();
    span_text();
    text();
    comma();
    no_value();
}

use exporters::profile;

fn main() {
    profile!();
    profile!("name");
    profile!(name, { 1 });
    profile!("name" { 1 });
    profile!("", { 1 });
    profile!("name", 1 + 1);
    profile!("name", skip, { 1 });
    profile!("name", name = "other", { 1 });
    profile!("name", time_one_in = 0, nmae = 1, { 1 });
}

use exporters::profiled;

struct Queue;

#[profiled(attributes(queue = queue))]
fn f(queue: Queue) {}

fn main() {
    f(Queue);
}

//! What is deployed agrees with itself, with Kubernetes and with the program: manifests, image and compose file, checked without a cluster.
//!
//! `schema`, `objects`, `references` and `rights` hold the manifests against Kubernetes and one another; `program` and `scaling` hold them
//! against our sources and the program under test; `machine` does both for the compose file and the image. What this cannot see: whether an
//! image of another project starts as its manual says.

mod machine;
mod objects;
mod program;
mod references;
mod render;
mod rights;
mod scaling;
mod schema;

use render::{OVERLAYS, Rendered, name};

#[test]
fn everything_renders_and_kubernetes_knows_every_field_of_it() {
    let mut rendered: Vec<Rendered> = OVERLAYS.iter().map(|folder| Rendered::of(folder)).collect();
    rendered.push(Rendered::of("k8s/base"));
    rendered.push(Rendered::with_components(&["keda", "keda-broker"]));
    for rendered in rendered {
        for object in &rendered.objects {
            let mistakes = schema::mistakes(object);
            assert!(mistakes.is_empty(), "{}: {}: {mistakes:#?}", rendered.from, name(object));
        }
    }
}

#[test]
fn the_base_belongs_to_no_namespace_and_an_overlay_to_one() {
    for object in &Rendered::of("k8s/base").objects {
        assert!(object["metadata"]["namespace"].is_null(), "{} names a namespace", name(object));
    }
    for folder in OVERLAYS {
        let rendered = Rendered::of(folder);
        let namespace = rendered.all("Namespace").next().expect("a namespace")["metadata"]["name"].clone();
        for object in rendered.objects.iter().filter(|object| object["kind"] != "Namespace") {
            assert_eq!(object["metadata"]["namespace"], namespace, "{folder}: {}", name(object));
        }
    }
}

//! What a pod may do and use: as nobody, on a read-only root, within its memory, with one folder of the node.

use super::render::{OVERLAYS, Rendered};

/// The user of every pod of ours, and of the image.
pub(super) const USER: i64 = 65532;

#[test]
fn pods_run_as_nobody_on_a_read_only_root_without_capabilities_or_token() {
    for rendered in OVERLAYS.map(Rendered::of) {
        for pods in rendered.pods() {
            assert_eq!(pods.spec.automount_service_account_token, Some(false), "{} mounts a token", pods.owner);
            let pod = pods.spec.security_context.as_ref().expect("a security context");
            assert_eq!(pod.seccomp_profile.as_ref().map(|profile| profile.type_.as_str()), Some("RuntimeDefault"), "{}", pods.owner);
            for container in pods.spec.containers.iter().chain(pods.spec.init_containers.iter().flatten()) {
                let what = format!("{}: {} of {}", rendered.from, container.name, pods.owner);
                let context = container.security_context.as_ref().unwrap_or_else(|| panic!("{what} has no security context"));
                assert_eq!((context.read_only_root_filesystem, context.allow_privilege_escalation), (Some(true), Some(false)), "{what}");
                let capabilities = context.capabilities.as_ref().expect("capabilities");
                assert_eq!(capabilities.drop.as_deref().unwrap_or_default(), ["ALL"], "{what}");
                // The one that hands a node's folder to the workers' user.
                let makes_folder = pods.owner == "corpora" && container.name == "make";
                let added = capabilities.add.as_deref().unwrap_or_default();
                assert_eq!(added, if makes_folder { &["CHOWN"][..] } else { &[] }, "{what}");
                let is_nobody = context.run_as_non_root.or(pod.run_as_non_root) == Some(true);
                assert!(is_nobody || makes_folder, "{what} may run as root");
                prove_pinned(container.image.as_deref().unwrap_or_default(), &what);
            }
        }
        for pods in rendered.ours() {
            let pod = pods.spec.security_context.as_ref().expect("a security context");
            assert_eq!((pod.run_as_user, pod.run_as_group), (Some(USER), Some(USER)), "{}", pods.owner);
            assert!(!pods.container().volume_mounts.iter().flatten().all(|mount| mount.mount_path != "/tmp"), "{}: no /tmp", pods.owner);
        }
    }
}

/// An image has a tag that says a version, or a digest.
pub(super) fn prove_pinned(image: &str, what: &str) {
    let tag = image.rsplit('/').next().and_then(|last| last.split_once(':')).map(|(_, tag)| tag);
    let tag = tag.unwrap_or_else(|| panic!("{what}: the image {image} has no tag"));
    assert!(tag.chars().any(|c| c.is_ascii_digit()) && tag != "latest", "{what}: {image} says no version");
}

#[test]
fn what_workers_share_on_a_node_is_one_folder_of_their_user() {
    for rendered in OVERLAYS.map(Rendered::of) {
        for pods in rendered.ours().iter().filter(|pods| pods.owner != "coordinator") {
            let env = pods.container().env.iter().flatten().find(|env| env.name == "SLUICE_CORPORA").and_then(|env| env.value.as_deref());
            let volume =
                pods.spec.volumes.iter().flatten().find(|volume| volume.name == "corpora").and_then(|volume| volume.host_path.clone());
            let mount = pods.container().volume_mounts.iter().flatten().find(|mount| mount.name == "corpora").expect("a mount");
            let volume = volume.expect("a folder of the node");
            assert_eq!((env, volume.type_.as_deref()), (Some(mount.mount_path.as_str()), Some("Directory")), "{}", pods.owner);
            let maker = rendered.pods().into_iter().find(|pods| pods.owner == "corpora").expect("who makes the folder");
            let made_in = maker.spec.volumes.iter().flatten().find_map(|volume| volume.host_path.clone()).expect("a folder of the node");
            assert_eq!(volume.path, format!("{}/corpora", made_in.path));
            let script =
                maker.spec.init_containers.iter().flatten().flat_map(|container| container.args.iter().flatten()).next().expect("a script");
            assert!(script.contains(&format!("chown {USER}:{USER} corpora")), "the folder belongs to another user:\n{script}");
        }
    }
}

#[test]
fn memory_is_bounded_cpu_is_not_and_all_quantities_parse() {
    for rendered in OVERLAYS.map(Rendered::of) {
        for pods in rendered.pods() {
            for container in pods.spec.containers.iter().chain(pods.spec.init_containers.iter().flatten()) {
                let what = format!("{}: {} of {}", rendered.from, container.name, pods.owner);
                let resources = container.resources.clone().expect("resources");
                let (requests, limits) = (resources.requests.expect("requests"), resources.limits.expect("limits"));
                assert!(requests.contains_key("cpu") && requests.contains_key("memory"), "{what} requests {requests:?}");
                assert!(limits.contains_key("memory") && !limits.contains_key("cpu"), "{what} is limited to {limits:?}");
                for (resource, request) in &requests {
                    let Some(limit) = limits.get(resource) else {
                        quantity(&request.0);
                        continue;
                    };
                    assert!(quantity(&request.0) <= quantity(&limit.0), "{what}: {resource} is limited below its request");
                }
            }
        }
    }
}

/// A quantity in thousandths.
fn quantity(text: &str) -> u128 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let number: u128 = digits.parse().unwrap_or_else(|_| panic!("`{text}` is no quantity of this house: digits and a suffix"));
    let suffix: String = text.chars().skip_while(char::is_ascii_digit).collect();
    let factor = match suffix.as_str() {
        "m" => 1,
        "" => 1000,
        "k" => 1000 * 1000,
        "M" => 1000 * 1000_u128.pow(2),
        "G" => 1000 * 1000_u128.pow(3),
        "Ki" => 1000 << 10,
        "Mi" => 1000 << 20,
        "Gi" => 1000 << 30,
        "Ti" => 1000 << 40,
        other => panic!("`{text}` has the unknown suffix {other}"),
    };
    number * factor
}

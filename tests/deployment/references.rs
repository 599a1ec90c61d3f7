//! What the manifests refer to: every Secret, ConfigMap, account and volume exists, or the reader is told to make it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};

use super::render::{OVERLAYS, Pods, Rendered, read};
use super::schema::{Foreign, TriggerAuthentication};

#[test]
fn what_pods_refer_to_is_rendered_or_listed_as_made_by_the_user() {
    for rendered in OVERLAYS.map(Rendered::of).into_iter().chain([Rendered::with_components(&["keda", "keda-broker"])]) {
        for (kind, object, key) in references(&rendered) {
            if rendered.has(kind, &object) {
                let Some(key) = key else { continue };
                assert!(keys(&rendered, kind, &object).contains(&key), "{}: {kind} {object} has no key {key}", rendered.from);
                continue;
            }
            let is_overlay = OVERLAYS.contains(&rendered.from.as_str());
            assert!(kind == "Secret" || !is_overlay, "{}: the {kind} {object} does not exist", rendered.from);
            let readme = read("k8s/README.md");
            let (_, made) = readme.split_once("## Made by you").expect("k8s/README.md lists what the user makes");
            let section = made.split("\n## ").next().unwrap_or_default();
            let is_listed = |word: &String| kind != "Secret" || section.contains(&format!("`{word}`"));
            assert!(is_listed(&object), "k8s/README.md does not list the {kind} {object}");
            assert!(key.as_ref().is_none_or(is_listed), "k8s/README.md does not list the key {key:?} of {object}");
        }
    }
}

/// (kind, name, key) of everything that pods and triggers refer to, optional or not.
fn references(rendered: &Rendered) -> BTreeSet<(&'static str, String, Option<String>)> {
    let mut found = BTreeSet::new();
    for pods in rendered.pods() {
        let spec = &pods.spec;
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            for source in container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
                let secret = source.secret_key_ref.iter().map(|key| ("Secret", key.name.clone(), key.key.clone(), key.optional));
                let map = source.config_map_key_ref.iter().map(|key| ("ConfigMap", key.name.clone(), key.key.clone(), key.optional));
                for (kind, object, key, optional) in secret.chain(map) {
                    // An optional key may be absent from an object that is rendered; whoever makes the object reads of it all the same.
                    let is_rendered_without =
                        optional == Some(true) && rendered.has(kind, &object) && !keys(rendered, kind, &object).contains(&key);
                    found.insert((kind, object, (!is_rendered_without).then_some(key)));
                }
            }
            let whole = container.env_from.iter().flatten().filter_map(|from| from.secret_ref.as_ref());
            // An optional Secret that nobody made is no fault in dev; production's README lists it.
            let whole = whole.filter(|secret| secret.optional != Some(true) || rendered.from.ends_with("production"));
            found.extend(whole.map(|secret| ("Secret", secret.name.clone(), None)));
        }
        let maps = spec.volumes.iter().flatten().filter_map(|volume| volume.config_map.as_ref());
        found.extend(maps.map(|map| ("ConfigMap", map.name.clone(), None)));
        let account = spec.service_account_name.clone();
        found.extend(account.map(|account| ("ServiceAccount", account, None)));
        prove_mounts_exist(&pods);
    }
    for object in rendered.typed::<Foreign<TriggerAuthentication>>("TriggerAuthentication") {
        found.extend(object.spec.secret_target_ref.into_iter().map(|target| ("Secret", target.name, Some(target.key))));
    }
    found
}

fn prove_mounts_exist(pods: &Pods) {
    let volumes: BTreeSet<&str> = pods.spec.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    for mount in pods.spec.containers.iter().flat_map(|container| container.volume_mounts.iter().flatten()) {
        let exists = volumes.contains(mount.name.as_str()) || pods.claims.contains(&mount.name);
        assert!(exists, "{} mounts {}, which is none of its volumes", pods.owner, mount.name);
    }
}

fn keys(rendered: &Rendered, kind: &str, wanted: &str) -> BTreeSet<String> {
    if kind == "Secret" {
        let secrets: Vec<Secret> = rendered.typed("Secret");
        let secret = secrets.into_iter().find(|secret| secret.metadata.name.as_deref() == Some(wanted)).expect("rendered");
        return secret.data.unwrap_or_default().into_keys().collect();
    }
    let maps: Vec<ConfigMap> = rendered.typed("ConfigMap");
    let map = maps.into_iter().find(|map| map.metadata.name.as_deref() == Some(wanted));
    map.and_then(|map| map.data).unwrap_or_default().into_keys().collect()
}

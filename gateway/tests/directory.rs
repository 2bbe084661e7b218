//! A folder of manifests: what is read, what stays when an edit is bad, and how soon a change is live.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that fails here fails with the line")]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{sync::mpsc, time::Instant};
use turnpike_bundle::entry::Backend;
use turnpike_gateway::config::{
    sources::{
        directory::{Directory, Loaded},
        minted::{AdminKeySource, MintError, Minted},
    },
    watch::{self, Watching},
};
use turnpike_testkit::wait::within;

fn mock(name: &str, response: &str) -> String {
    format!(
        "apiVersion: turnpike.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {{name: {name}}}\nspec: {{mock: {{response: \"{response}\"}}}}\n"
    )
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// A source over a folder, with a data folder of its own.
struct Source {
    directory: Directory,
    data: TempDir,
}

fn source(manifests: &Path) -> Source {
    let data = tempfile::tempdir().unwrap();
    let minted = Minted::open(&data.path().join("data")).unwrap();
    let variable = |name: &str| (name == "SET").then(|| "from-the-environment".to_owned());
    Source { directory: Directory::new(manifests, minted, variable), data }
}

fn load(source: &mut Source) -> Loaded {
    source.directory.load().unwrap()
}

fn models(loaded: &Loaded) -> Vec<String> {
    let answer = |backend: &Backend| match backend {
        Backend::Mock { response } => response.clone(),
        Backend::Provider(backend) => backend.base_url.clone(),
        Backend::Route(route) => format!("{} targets", route.targets.len()),
    };
    loaded.contents.models.iter().map(|model| format!("{}: {}", model.object, answer(&model.backend))).collect()
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.problems.iter().map(ToString::to_string).collect()
}

/// The one problem.
fn problem(loaded: &Loaded) -> String {
    let [problem] = loaded.problems.as_slice() else { panic!("not one problem: {:#?}", lines(loaded)) };
    problem.to_string()
}

#[test]
fn manifests_of_the_folder_itself_are_read_in_every_spelling() {
    let two = format!("# first\n---\n{}--- # second\n{}---\n", mock("one", "1"), mock("two", "2"));
    let json = r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "turnpike.dev/v1alpha1",
        "kind": "ModelDeployment", "metadata": {"name": "three", "namespace": "ml"}, "spec": {"mock": {"response": "3"}}}]}"#;
    let folder = folder(&[
        ("a.yaml", &two),
        ("b.json", json),
        ("c.yml", &mock("four", "4")),
        ("d.txt", &mock("five", "5")),
        (".e.yaml", &mock("six", "6")),
    ]);
    fs::create_dir(folder.path().join("deeper.yaml")).unwrap();
    let loaded = load(&mut source(folder.path()));
    assert_eq!(models(&loaded), ["default/four: 4", "default/one: 1", "default/two: 2", "ml/three: 3"]);
    assert_eq!(lines(&loaded), Vec::<String>::new());
}

#[test]
fn secrets_come_from_base64_text_and_the_environment() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\ndata: {packed: c2stcGFja2Vk}\n\
                  stringData: {plain: sk-plain, set: env:SET, unset: env:UNSET}\n";
    let model = |name: &str| {
        format!(
            "---\napiVersion: turnpike.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {{name: {name}}}\nspec: {{provider: \
             {{type: OpenAI, model: gpt-4o, credentials: {{secretRef: {{name: keys, key: {name}}}}}}}}}\n"
        )
    };
    let text = [secret, &model("packed"), &model("plain"), &model("set"), &model("unset")].concat();
    let loaded = load(&mut source(folder(&[("a.yaml", &text)]).path()));
    let mut keys: Vec<_> = loaded.contents.credentials.values().filter_map(|entry| entry.api_key.clone()).collect();
    keys.sort();
    assert_eq!(keys, ["from-the-environment", "sk-packed", "sk-plain"]);
    let problem = problem(&loaded);
    assert!(
        problem.contains("default/unset") && problem.contains("set UNSET in the gateway's environment"),
        "{problem}"
    );
}

#[test]
fn faults_name_file_document_line_and_remedy() {
    let spelling = mock("one", "1").replace("response", "resposne");
    let kind = mock("two", "2").replace("ModelDeployment", "Deployment");
    let version = mock("three", "3").replace("v1alpha1", "v1");
    let number = mock("four", "4").replace("mock: {", "weight: many, mock: {");
    let folder = folder(&[
        ("a.yaml", &format!("{spelling}---\n{kind}---\n{version}---\n{number}")),
        ("b.yaml", &format!("{}---\nkind: [oops\n", mock("five", "5"))),
        ("c.yaml", &mock("five", "again")),
        ("d.yaml", "just text\n"),
        ("e.yaml", &mock("Six", "6")),
    ]);
    let loaded = load(&mut source(folder.path()));
    assert_eq!(models(&loaded), ["default/five: 5"]);
    let lines = lines(&loaded);
    let expect = |parts: &[&str]| {
        let found = lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(found, "{parts:?} not in {lines:#?}");
    };
    expect(&["ModelDeployment default/one: spec.mock.resposne: there is no such field", "a.yaml, document 1, line 1"]);
    expect(&["File a.yaml: document 3, line 11", "turnpike.dev/v1\"", "write apiVersion: turnpike.dev/v1alpha1"]);
    expect(&["ModelDeployment default/four: spec.weight", "a.yaml, document 4, line 16"]);
    expect(&["File b.yaml: document 2, line "]);
    expect(&["File c.yaml", "ModelDeployment default/five", "the first is taken"]);
    expect(&["File d.yaml: document 1, line 1", "no kind"]);
    expect(&["File e.yaml", "\"Six\""]);
    assert_eq!(lines.len(), 7, "{lines:#?}");
    let [warning] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
    assert!(warning.message.contains("kind Deployment"), "{warning}");
}

#[test]
fn a_fault_in_a_secret_shows_nothing_of_it() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys}\n";
    let folder = folder(&[
        ("a.yaml", &format!("{secret}data: {{a: sk-not-base64!}}\nstringData: {{b: [sk-list]}}\n")),
        ("b.yaml", &format!("{secret}stringData: {{a: \"sk-torn}}\n")),
        ("c.yaml", &format!("{secret}stringData:\n  a: sk-once\n  a: sk-twice\n")),
        ("d.yaml", &format!("{secret}stringData:\n  a: sk-colon: sk-colon\n")),
    ]);
    let loaded = load(&mut source(folder.path()));
    let lines = lines(&loaded);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    assert!(lines.iter().all(|line| !line.contains("sk-")), "{lines:#?}");
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_last_good_objects() {
    let folder = folder(&[
        ("a.yaml", &[mock("one", "1"), "---\n".into(), mock("two", "2")].concat()),
        ("b.yaml", &mock("b", "b")),
    ]);
    let mut source = source(folder.path());
    let before = load(&mut source);
    fs::write(folder.path().join("a.yaml"), [mock("one", "changed"), "---\nkind: [oops\n".into()].concat()).unwrap();
    fs::write(folder.path().join("b.yaml"), mock("b", "changed")).unwrap();
    let torn = load(&mut source);
    assert_eq!(models(&torn), ["default/b: changed", "default/one: 1", "default/two: 2"]);
    let problem = problem(&torn);
    assert!(problem.starts_with("File a.yaml: document 2, line"), "{problem}");
    fs::write(folder.path().join("a.yaml"), mock("one", "mended")).unwrap();
    let mended = load(&mut source);
    assert_eq!(models(&mended), ["default/b: changed", "default/one: mended"]);
    assert_ne!(before.hash, mended.hash);
}

#[test]
fn an_object_that_an_api_server_would_refuse_keeps_its_last_good_version() {
    let model = |url: &str| {
        format!(
            "apiVersion: turnpike.dev/v1alpha1\nkind: ModelDeployment\nmetadata: {{name: gpt}}\nspec: {{provider: \
             {{type: OpenAICompatible, baseURL: \"{url}\"}}, price: {{inputPerMillion: \"1\"}}}}\n"
        )
    };
    let folder = folder(&[("a.yaml", &model("http://good")), ("b.yaml", &mock("b", "b"))]);
    let mut source = source(folder.path());
    let good = load(&mut source);
    for bad in [
        model("gopher://bad"),
        model("http://x").replace("price", "prize"),
        model("http://x").replace("OpenAICompatible", "Nobody"),
    ] {
        fs::write(folder.path().join("a.yaml"), &bad).unwrap();
        for _ in 0..2 {
            let after = load(&mut source);
            assert_eq!(after.contents, good.contents, "{bad}");
            let problem = problem(&after);
            assert!(
                problem.contains("ModelDeployment default/gpt") && problem.ends_with("its last good version is served"),
                "{problem}"
            );
        }
    }
    fs::remove_file(folder.path().join("a.yaml")).unwrap();
    assert_eq!(models(&load(&mut source)), ["default/b: b"]);
    // Nothing good is left to fall back on.
    fs::write(folder.path().join("a.yaml"), model("gopher://bad")).unwrap();
    assert_eq!(models(&load(&mut source)), ["default/b: b"]);
}

const GENERATED: &str = "apiVersion: turnpike.dev/v1alpha1\nkind: VirtualKey\nmetadata: {name: bot}\n\
                         spec: {generate: {secretName: bot.key}, allowedModels: [\"*\"], ttl: 24h}\n";

#[test]
fn a_generated_key_is_made_once_and_kept() {
    let folder = folder(&[("a.yaml", GENERATED)]);
    let mut source = source(folder.path());
    let first = load(&mut source);
    assert_eq!(lines(&first), Vec::<String>::new());
    let [minted] = first.minted.as_slice() else { panic!("{:?}", first.minted) };
    let path = source.data.path().join("data/keys/default.bot%2Ekey.api-key");
    assert_eq!((&minted.path, minted.object.to_string().as_str()), (&path, "default/bot"));
    let key = fs::read_to_string(&path).unwrap();
    assert!(key.starts_with("sk-") && key.trim().len() == 46, "{}", key.len());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "a draft was left behind");
    let [entry] = first.contents.keys.as_slice() else { panic!("{:?}", first.contents.keys) };
    let hash = turnpike_crds::KeyHash::of(key.trim().as_bytes()).to_string();
    assert_eq!(format!("sha256:{}", entry.hashes.first().unwrap().sha256), hash);
    let left = entry.expires_at.unwrap() - jiff::Timestamp::now().as_second();
    assert!((86_000..=86_400).contains(&left), "{left}");
    assert_eq!(load(&mut source), first);
    fs::write(&path, "short").unwrap();
    let damaged = load(&mut source);
    assert!(lines(&damaged).iter().any(|line| line.contains("does not hold a key any more")), "{:?}", lines(&damaged));
}

#[test]
fn a_name_cannot_lead_out_of_the_data_folder() {
    let folder = folder(&[("a.yaml", &GENERATED.replace("bot.key", "../../out"))]);
    let mut source = source(folder.path());
    let loaded = load(&mut source);
    assert_eq!(loaded.contents.keys, []);
    assert!(lines(&loaded).iter().any(|line| line.contains("cannot be part of a file's name")), "{:?}", lines(&loaded));
    assert!(!source.data.path().join("out.api-key").exists());
}

#[test]
fn the_admin_key_is_given_or_made_once_and_never_weak() {
    let data = tempfile::tempdir().unwrap();
    let minted = Minted::open(data.path()).unwrap();
    for weak in ["", "sk-1234", "elevenchars"] {
        let error = minted.admin_key(Some(weak)).unwrap_err();
        assert!(matches!(error, MintError::WeakAdminKey(_)), "{error}");
        assert!(error.to_string().contains("TURNPIKE_ADMIN_KEY"), "{error}");
    }
    let given = minted.admin_key(Some("twelve-chars")).unwrap();
    assert_eq!((given.key.as_str(), given.source), ("twelve-chars", AdminKeySource::Given));
    let made = minted.admin_key(None).unwrap();
    assert_eq!(made.source, AdminKeySource::Generated(data.path().join("admin-key")));
    assert!(made.key.len() == 46 && !format!("{made:?}").contains(&made.key));
    assert_eq!(minted.admin_key(None).unwrap().key, made.key);
}

/// Watches a folder and hands out what is published.
struct Watched {
    published: mpsc::UnboundedReceiver<Loaded>,
    last: Loaded,
    /// After the first.
    publications: usize,
    _watching: Watching,
    _data: TempDir,
}

async fn watched(manifests: &Path) -> Watched {
    let Source { directory, data } = source(manifests);
    let (sender, mut published) = mpsc::unbounded_channel();
    let watching = watch::start(directory, move |loaded| sender.send(loaded).unwrap()).await.unwrap();
    let last = published.try_recv().unwrap();
    Watched { published, last, publications: 0, _watching: watching, _data: data }
}

impl Watched {
    async fn next(&mut self) {
        self.last = within("something else is published", self.published.recv()).await.unwrap();
        self.publications += 1;
    }

    /// How long until what is published is as expected.
    async fn until(&mut self, expected: impl Fn(&Loaded) -> bool) -> Duration {
        let start = Instant::now();
        while !expected(&self.last) {
            self.next().await;
        }
        start.elapsed()
    }
}

fn serves(expected: &'static [&'static str]) -> impl Fn(&Loaded) -> bool {
    move |loaded| models(loaded) == expected
}

/// What a change may take; the machines that run tests are busy, so the best of a few counts.
const LIVE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_written_file_is_live_at_once() {
    let folder = folder(&[("a.yaml", &mock("a", "0"))]);
    let mut watched = watched(folder.path()).await;
    let mut best = Duration::MAX;
    for expected in [&["default/a: 1"], &["default/a: 2"], &["default/a: 3"]] {
        let response = expected.concat().replace("default/a: ", "");
        fs::write(folder.path().join("a.yaml"), mock("a", &response)).unwrap();
        best = best.min(watched.until(serves(expected)).await);
    }
    assert!(best < LIVE, "{best:?}");
}

#[tokio::test]
async fn added_and_deleted_files_are_live() {
    let folder = folder(&[("a.yaml", &mock("a", "1"))]);
    let mut watched = watched(folder.path()).await;
    fs::write(folder.path().join("b.yaml"), mock("b", "2")).unwrap();
    watched.until(serves(&["default/a: 1", "default/b: 2"])).await;
    fs::remove_file(folder.path().join("a.yaml")).unwrap();
    watched.until(serves(&["default/b: 2"])).await;
}

#[tokio::test]
async fn an_editor_that_moves_files_never_makes_a_model_vanish() {
    let folder = folder(&[("a.yaml", &mock("a", "1"))]);
    let mut watched = watched(folder.path()).await;
    let path = |name: &str| folder.path().join(name);
    // As vim saves: the old one becomes a backup, a new one is written in its place.
    fs::rename(path("a.yaml"), path("a.yaml~")).unwrap();
    // Longer than a pause within one change, and shorter than a file has to come back.
    tokio::time::sleep(Duration::from_millis(30)).await;
    fs::write(path("a.yaml"), mock("a", "2")).unwrap();
    watched.next().await;
    assert_eq!(models(&watched.last), ["default/a: 2"], "nothing was published in between");
    // As others do: written beside it, renamed over it.
    fs::write(path(".a.yaml.tmp"), mock("a", "3")).unwrap();
    fs::rename(path(".a.yaml.tmp"), path("a.yaml")).unwrap();
    watched.until(serves(&["default/a: 3"])).await;
}

#[tokio::test]
async fn a_mounted_folder_is_swapped_as_kubernetes_does() {
    let folder = tempfile::tempdir().unwrap();
    let version = |name: &str, response: &str| {
        let version = folder.path().join(name);
        fs::create_dir(&version).unwrap();
        fs::write(version.join("a.yaml"), mock("a", response)).unwrap();
    };
    let swap = |to: &str| {
        symlink(to, folder.path().join("..data_tmp")).unwrap();
        fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    version("..2026_01", "1");
    swap("..2026_01");
    symlink("..data/a.yaml", folder.path().join("a.yaml")).unwrap();
    let mut watched = watched(folder.path()).await;
    assert_eq!(models(&watched.last), ["default/a: 1"]);
    version("..2026_02", "2");
    swap("..2026_02");
    fs::remove_dir_all(folder.path().join("..2026_01")).unwrap();
    watched.until(serves(&["default/a: 2"])).await;
}

#[tokio::test]
async fn a_folder_that_is_gone_keeps_serving_and_is_picked_up_again() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("manifests");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.yaml"), mock("a", "1")).unwrap();
    let mut watched = watched(&folder).await;
    fs::remove_dir_all(&folder).unwrap();
    watched.until(|loaded| !loaded.problems.is_empty() && models(loaded) == ["default/a: 1"]).await;
    let problem = problem(&watched.last);
    assert!(problem.contains("the folder cannot be read"), "{problem}");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a.yaml"), mock("a", "2")).unwrap();
    watched.until(serves(&["default/a: 2"])).await;
    assert_eq!(lines(&watched.last), Vec::<String>::new());
    fs::write(folder.join("a.yaml"), mock("a", "3")).unwrap();
    watched.until(serves(&["default/a: 3"])).await;
}

#[tokio::test]
async fn a_bad_edit_is_told_and_the_last_good_state_stays() {
    let folder = folder(&[("a.yaml", &mock("a", "1"))]);
    let mut watched = watched(folder.path()).await;
    fs::write(folder.path().join("a.yaml"), "kind: [oops\n").unwrap();
    watched.until(|loaded| !loaded.problems.is_empty()).await;
    assert_eq!(models(&watched.last), ["default/a: 1"]);
    fs::write(folder.path().join("a.yaml"), mock("a", "2")).unwrap();
    watched.until(|loaded| loaded.problems.is_empty() && models(loaded) == ["default/a: 2"]).await;
}

#[tokio::test]
async fn nothing_is_published_when_nothing_changed() {
    let folder = folder(&[("a.yaml", &mock("a", "1"))]);
    let mut watched = watched(folder.path()).await;
    fs::write(folder.path().join("a.yaml"), format!("# a comment\n{}", mock("a", "1"))).unwrap();
    fs::write(folder.path().join("notes.txt"), "nothing to do with it").unwrap();
    // The next real change must be the next publication. Nothing tells when this one was looked at, which is done after 150 ms.
    tokio::time::sleep(Duration::from_millis(200)).await;
    fs::write(folder.path().join("b.yaml"), mock("b", "2")).unwrap();
    let hash = watched.last.hash.clone();
    let same = |loaded: &Loaded| loaded.hash == hash && loaded.problems.is_empty();
    assert!(same(&watched.last));
    watched.until(|loaded| !same(loaded)).await;
    assert_eq!(watched.publications, 1);
    assert_eq!(models(&watched.last), ["default/a: 1", "default/b: 2"]);
}

#[tokio::test]
async fn a_folder_that_is_not_there_at_the_start_is_an_error() {
    let parent = tempfile::tempdir().unwrap();
    let Source { directory, data: _data } = source(&parent.path().join("gone"));
    let error = watch::start(directory, |_| {}).await.err().unwrap();
    assert!(error.to_string().contains("gone cannot be read"), "{error}");
}

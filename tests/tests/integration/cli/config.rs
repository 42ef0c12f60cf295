//! `sheaf config`, the example file, and the page of all keys.

use sheaf_server::config::keys;

use super::{arg, private_file, repository, run, sheaf, text_of};

const EXAMPLE: &str = "docs/operate/sheaf.example.toml";
const PAGE: &str = "docs/configuration.md";

#[test]
fn the_example_is_a_configuration_that_starts() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = private_file(dir.path(), "sheaf.toml", &text_of(EXAMPLE));
    let checked = sheaf(&["config", "check", "--config", arg(&file)]).ends_with(0);
    assert!(checked.out.contains("the configuration is right"), "{}", checked.out);
}

#[test]
fn every_key_that_the_example_suggests_exists() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // `#key = value` is a suggestion, `# word` a remark.
    let is_suggestion = |line: &str| {
        line.strip_prefix('#')
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
    };
    let lines = text_of(EXAMPLE);
    let lines = lines.lines().map(|line| if is_suggestion(line) { &line[1..] } else { line });
    let text = lines.collect::<Vec<_>>().join("\n");
    let file = private_file(dir.path(), "sheaf.toml", &text);
    sheaf(&["config", "print", "--config", arg(&file)]).ends_with(0);
    let table: toml::Table = text.parse().expect("TOML");
    for key in keys::all() {
        let section = key.name.split(['.', '[']).next().expect("a first part");
        assert!(table.contains_key(section), "the example has nothing about {section}");
    }
}

#[test]
fn the_page_of_all_keys_is_up_to_date() {
    let page = sheaf(&["config", "schema", "--markdown"]).ends_with(0).out;
    assert_eq!(page, text_of(PAGE), "{PAGE} is out of date: run `make docs`");
}

#[test]
fn the_schema_describes_every_section() {
    let schema = sheaf(&["config", "schema"]).ends_with(0).json();
    for key in keys::all() {
        let section = key.name.split(['.', '[']).next().expect("a first part");
        assert!(schema["properties"][section].is_object(), "{section}");
    }
    assert_eq!(schema["additionalProperties"], false, "other keys are refused");
}

#[test]
fn a_wrong_configuration_ends_with_2_and_says_what_is_wrong() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (text, wanted) in [
        ("lisen = \"127.0.0.1:1\"\n", "lisen"),
        ("listen = \"0.0.0.0:1234\"\n", "--allow-anonymous"),
        ("[limits]\nsession_idle_s = 1\n", "session_idle_s"),
        ("[telemetry]\nsample_ratio = 2.0\n", "sample_ratio"),
        ("[[webhooks]]\nurl = \"nowhere\"\n", "usable url"),
        ("[log]\nlevel = \"=nonsense=\"\n", "log.level"),
        ("listen = [\n", "sheaf.toml"),
        ("[tls]\ncert_file = \"/nowhere/c\"\nkey_file = \"/nowhere/k\"\n", "/nowhere/c"),
    ] {
        let file = private_file(dir.path(), "sheaf.toml", text);
        let checked = sheaf(&["config", "check", "--config", arg(&file)]).ends_with(2);
        assert!(checked.err.contains(wanted), "{wanted} is not in {}", checked.err);
        let checked = sheaf(&["config", "check", "--json", "--config", arg(&file)]).ends_with(2);
        assert_eq!(checked.json()["ok"], false);
        assert!(checked.json()["error"].as_str().expect("text").contains(wanted));
    }
    let missing = sheaf(&["config", "check", "--config", "/nowhere/sheaf.toml"]).ends_with(2);
    assert!(missing.err.contains("--config"), "{}", missing.err);
}

#[test]
fn what_may_hurt_is_a_warning() {
    let arguments = ["config", "check", "--listen", "0.0.0.0:1", "--allow-anonymous", "--json"];
    let checked = sheaf(&arguments).ends_with(0).json();
    let warnings = checked["warnings"].as_array().expect("a list");
    assert!(warnings.iter().any(|warning| warning["key"] == "allow_anonymous"), "{checked}");
}

#[test]
fn no_secret_is_ever_printed() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let secret = "correct-horse-battery-staple";
    let text = format!("[[users]]\nname = \"ada\"\ntoken = \"{secret}\"\nrole = \"admin\"\n");
    let file = private_file(dir.path(), "sheaf.toml", &text);
    for arguments in [&["print"][..], &["print", "--show-origin"], &["check"], &["check", "--json"]]
    {
        let arguments = [&["config"], arguments, &["--config", arg(&file)]].concat();
        let run = sheaf(&arguments).ends_with(0);
        assert!(!run.out.contains("horse") && !run.err.contains("horse"), "{arguments:?}");
    }
    let shown = sheaf(&["config", "print", "--config", arg(&file)]).out;
    assert!(shown.contains("ada") && shown.contains('…'), "{shown}");
}

#[test]
fn the_origin_of_a_value_is_its_last_source() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = private_file(dir.path(), "sheaf.toml", "hosts = [\"a.example\"]\n");
    let arguments = ["config", "print", "--show-origin", "--log", "warn"];
    let environment = [("SHEAF_CONFIG", arg(&file)), ("SHEAF_LIMITS__UNLOAD_IDLE_S", "7")];
    let shown = run(&arguments, &environment, b"").ends_with(0).out;
    for (start, origin) in [
        ("hosts = [\"a.example\"]", "sheaf.toml"),
        ("unload_idle_s = 7", "# SHEAF_LIMITS__UNLOAD_IDLE_S"),
        ("level = \"warn\"", "# flag"),
        ("ping_idle_s = 20", "# default"),
    ] {
        let line = shown.lines().find(|line| line.starts_with(start));
        assert!(line.is_some_and(|line| line.ends_with(origin)), "{start} in {shown}");
    }
}

#[test]
fn variables_that_are_no_keys_do_not_keep_it_from_starting() {
    let environment =
        [("SHEAF_SERVER", "http://h"), ("SHEAF_TOKEN", "t"), ("SHEAF_TOKEN_FILE", "f")];
    run(&["config", "check"], &environment, b"").ends_with(0);
    run(&["config", "check"], &[("SHEAF_SERVERS", "x")], b"").ends_with(2);
}

#[test]
fn the_unit_and_the_container_name_keys_that_exist() {
    let known: Vec<String> = keys::all().iter().filter_map(keys::Key::variable).collect();
    let not_keys = ["SHEAF_CONFIG", "SHEAF_SERVER", "SHEAF_TOKEN", "SHEAF_TOKEN_FILE"];
    for path in
        ["docs/operate/sheaf.service", "docs/operate/Dockerfile", "docs/operate/compose.yaml"]
    {
        let text = std::fs::read_to_string(repository(path)).expect("it is there");
        for word in text.split(|c: char| !c.is_ascii_uppercase() && c != '_') {
            let is_ours = word.starts_with("SHEAF_");
            assert!(
                !is_ours || not_keys.contains(&word) || known.iter().any(|it| it == word),
                "{word}"
            );
        }
    }
}

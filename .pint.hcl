// What pint (https://cloudflare.github.io/pint) does not say of rules/, each with why: `pint --offline lint rules`.
parser {
  // They are no rules.
  exclude = ["rules/(thresholds|alertmanager).yaml"]
}

rule {
  // It shall always fire: silence means that the line is broken.
  match { name = "Watchdog" }
  disable = ["alerts/comparison"]
}

rule {
  // Which of the scraped jobs are ours is known by their name alone, and whose job is called otherwise changes it here.
  match { name = "Pgvigil(Down|Missing|TargetMissing)" }
  disable = ["promql/regexp"]
}

rule {
  // Both sides are of one page: after a restart of Prometheus they come at once.
  match { name = "ProbeAnswersWrong" }
  disable = ["promql/fragile"]
}

rule {
  // What was usual before changes slowly: it may go by what the group of the present recorded a minute ago.
  match { name = "statement:.*:mean_before" }
  disable = ["rule/dependency"]
}

rule {
  // How Vault names the roles that it makes is known by the name alone.
  match { name = "PostgresPasswordExpiring" }
  disable = ["promql/regexp"]
}

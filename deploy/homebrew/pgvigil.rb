# Homebrew's formula: the program of a release, its completions, manual, rules and dashboards, and a service.
# scripts/release-formula puts the checksums in, for the tap pgvigil/tap.
class Pgvigil < Formula
  desc "Prometheus exporter for PostgreSQL, PgBouncer, Redis, backups and disks"
  homepage "https://github.com/pgvigil/pgvigil"
  version "0.1.0"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "https://github.com/pgvigil/pgvigil/releases/download/v0.1.0/pgvigil-0.1.0-darwin-arm64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "https://github.com/pgvigil/pgvigil/releases/download/v0.1.0/pgvigil-0.1.0-darwin-amd64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/pgvigil/pgvigil/releases/download/v0.1.0/pgvigil-0.1.0-linux-arm64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
    on_intel do
      url "https://github.com/pgvigil/pgvigil/releases/download/v0.1.0/pgvigil-0.1.0-linux-amd64.tar.gz"
      sha256 "0000000000000000000000000000000000000000000000000000000000000000"
    end
  end

  # Homebrew's PostgreSQL has its socket in /tmp.
  SETTINGS = <<~YAML
    # pgvigil's targets. It loads changes within 5 seconds; `pgvigil check --config FILE --connect` reports mistakes.
    targets:
      # The server on this machine. It needs the role: pgvigil export grants | psql postgres
      - name: local
        postgres: {host: /tmp, user: pgvigil, dbname: postgres}
  YAML

  def install
    bin.install "pgvigil"
    man1.install Dir["man/*.1"]
    bash_completion.install "completions/pgvigil.bash" => "pgvigil"
    zsh_completion.install "completions/pgvigil.zsh" => "_pgvigil"
    fish_completion.install "completions/pgvigil.fish"
    pkgshare.install "rules", "dashboards", "examples"
    # Settings that are already there stay.
    (buildpath/"pgvigil.yaml").write SETTINGS
    pkgetc.install "pgvigil.yaml"
  end

  service do
    run [opt_bin/"pgvigil", "serve", "--config", etc/"pgvigil/pgvigil.yaml"]
    keep_alive true
    log_path var/"log/pgvigil.log"
    error_log_path var/"log/pgvigil.log"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/pgvigil --version")
    system bin/"pgvigil", "check", "--config", pkgetc/"pgvigil.yaml"
  end
end

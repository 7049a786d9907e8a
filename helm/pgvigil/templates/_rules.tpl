{{/* The rule files with the changes from the values. */}}

{{/* The job of pgvigil, as a regular expression. */}}
{{- define "pgvigil.job" -}}
{{- $name := include "pgvigil.fullname" . -}}
{{- .Values.prometheusRule.job | default (ternary ".*pgvigil.*" (printf ".*(pgvigil|%s).*" $name) (contains "pgvigil" $name)) -}}
{{- end -}}

{{/* One rule, as JSON; `{}` if it is left out. Takes a dict: `root` and `rule`. */}}
{{- define "pgvigil.rule" -}}
{{- $values := .root.Values.prometheusRule -}}
{{- $rule := deepCopy .rule -}}
{{- $_ := set $rule "expr" (replace "job=~\".*pgvigil.*\"" (printf "job=~%q" (include "pgvigil.job" .root)) $rule.expr) -}}
{{- if $rule.alert -}}
{{- $changes := dict -}}
{{- $all := index $values.alerts $rule.alert | default dict -}}
{{- range $part := list $all (index $all $rule.labels.severity | default dict) -}}
{{- range $key, $value := omit $part "critical" "warning" "info" "none" -}}
{{- $_ := set $changes $key $value -}}
{{- end -}}
{{- end -}}
{{- $labels := dict -}}
{{- range $more := list $rule.labels $values.alertLabels ($all.labels | default dict) ($changes.labels | default dict) -}}
{{- range $key, $value := $more -}}
{{- $_ := set $labels $key $value -}}
{{- end -}}
{{- end -}}
{{- with $changes.severity -}}
{{- $_ := set $labels "severity" . -}}
{{- end -}}
{{- $annotations := dict -}}
{{- range $more := list $rule.annotations $values.alertAnnotations ($all.annotations | default dict) ($changes.annotations | default dict) -}}
{{- range $key, $value := $more -}}
{{- $_ := set $annotations $key $value -}}
{{- end -}}
{{- end -}}
{{- $ours := "https://github.com/pgvigil/pgvigil/blob/main/docs/runbooks/" -}}
{{- $_ := set $annotations "runbook_url" ($annotations.runbook_url | replace $ours $values.runbookUrl) -}}
{{- $_ := set $annotations "dashboard_url" (ternary (printf "%s%s" (trimSuffix "/" $values.dashboardUrl) $annotations.dashboard_url) $annotations.dashboard_url (hasPrefix "/" $annotations.dashboard_url)) -}}
{{- $_ := set $rule "labels" $labels -}}
{{- $_ := set $rule "annotations" $annotations -}}
{{- with $changes.for -}}
{{- $_ := set $rule "for" . -}}
{{- end -}}
{{- with $changes.keepFiringFor -}}
{{- $_ := set $rule "keep_firing_for" . -}}
{{- end -}}
{{- if eq (toString (index $changes "enabled")) "false" -}}
{{- $rule = dict -}}
{{- end -}}
{{- end -}}
{{- toJson $rule -}}
{{- end -}}

{{/* The groups of a file, as a YAML list; those without rules are left out. Takes a dict: `root` and `groups`. */}}
{{- define "pgvigil.groups" -}}
{{- $groups := list -}}
{{- range $group := .groups -}}
{{- $rules := list -}}
{{- range $rule := $group.rules -}}
{{- with include "pgvigil.rule" (dict "root" $.root "rule" $rule) | fromJson -}}
{{- $rules = append $rules . -}}
{{- end -}}
{{- end -}}
{{- with $rules -}}
{{- $groups = append $groups (set (deepCopy $group) "rules" .) -}}
{{- end -}}
{{- end -}}
{{- with $groups -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

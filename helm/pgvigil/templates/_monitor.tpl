{{/* What ServiceMonitor and PodMonitor have in common. */}}

{{/* The fields of a monitor's spec, as a YAML map. Takes the monitor's values and the names of fields. */}}
{{- define "pgvigil.monitorSpec" -}}
{{- $spec := dict -}}
{{- range $field := .fields -}}
{{- with index $.monitor $field -}}
{{- $_ := set $spec $field . -}}
{{- end -}}
{{- end -}}
{{- range $field, $value := .monitor.spec -}}
{{- $_ := set $spec $field $value -}}
{{- end -}}
{{- with $spec -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* The endpoints, as a YAML list. Takes a dict: `root` and `monitor`, its values. */}}
{{- define "pgvigil.endpoints" -}}
{{- $monitor := .monitor -}}
{{- /* The labels of pgvigil's settings stay, such as `cluster`, where a relabeling sets one of that name. */ -}}
{{- $endpoint := dict "port" "http" "honorLabels" true -}}
{{- if .root.Values.webConfig.tls_server_config -}}
{{- $_ := set $endpoint "scheme" "https" -}}
{{- end -}}
{{- range $field := list "interval" "scrapeTimeout" "path" "scheme" "tlsConfig" "basicAuth" "relabelings" "metricRelabelings" -}}
{{- with index $monitor $field -}}
{{- $_ := set $endpoint $field . -}}
{{- end -}}
{{- end -}}
{{- range $field, $value := $monitor.endpoint -}}
{{- $_ := set $endpoint $field $value -}}
{{- end -}}
{{- if not $monitor.multipleTargets -}}
{{- toYaml (list $endpoint) -}}
{{- else -}}
{{- $endpoints := list -}}
{{- range $name := include "pgvigil.targets" (dict "root" .root "targets" $monitor.targets) | fromJsonArray -}}
{{- $own := deepCopy $endpoint -}}
{{- range $field, $value := index $monitor.targets $name | default dict -}}
{{- $_ := set $own $field $value -}}
{{- end -}}
{{- $_ := set $own "params" (set (deepCopy ($own.params | default dict)) "target" (list $name)) -}}
{{- /* All have one address, by which the operator would put them into one shard. Servers of one cluster belong together. */ -}}
{{- $cluster := include "pgvigil.cluster" (dict "root" $.root "name" $name) -}}
{{- $relabelings := list
    (dict "sourceLabels" (list "__param_target") "targetLabel" "instance")
    (dict "targetLabel" "__tmp_hash" "replacement" $cluster) -}}
{{- $_ := set $own "relabelings" (concat $relabelings ($own.relabelings | default list)) -}}
{{- $endpoints = append $endpoints $own -}}
{{- end -}}
{{- toYaml $endpoints -}}
{{- end -}}
{{- end -}}

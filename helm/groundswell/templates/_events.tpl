{{/* The ConfigMap with the rules and with the configs of the runs that they name. */}}
{{- define "groundswell.eventsFiles" -}}
{{- default (printf "%s-events" (include "groundswell.name" .)) .Values.events.existingConfigMap -}}
{{- end -}}

{{/* Which component has the file of the inbox and does the work beside what it is called after; a database has no such bounds. */}}
{{- define "groundswell.eventsWorker" -}}
{{- $one := and .Values.listener.enabled (eq .Values.listener.to "inbox") (eq .Values.events.inbox "sqlite") -}}
{{- $one | ternary "listener" "consumer" -}}
{{- end -}}

{{/* The file of rules as both read it. A run's config without `clusters:` runs on this release's cluster. */}}
{{- define "groundswell.eventsData" -}}
config.yaml: |
  {{- toYaml .Values.events.config | nindent 2 }}
{{- range $file, $config := .Values.events.runs }}
{{ $file }}: |
  {{- if $.Values.cluster.enabled }}
  {{- include "groundswell.onThisCluster" (dict "root" $ "config" $config) | nindent 2 }}
  {{- else }}
  {{- toYaml $config | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Where events wait, and who does the work: said here, so that no config can say otherwise. Takes (dict "root" $ "component" "listener"). */}}
{{- define "groundswell.eventsEnv" -}}
{{- $works := eq .component (include "groundswell.eventsWorker" .root) -}}
{{- with .root.Values.events }}
{{- if eq .inbox "sqlite" }}
- {name: GROUNDSWELL_EVENTS__INBOX, value: {{ $works | ternary "/var/lib/groundswell/inbox.sqlite" "/tmp/inbox.sqlite" }}}
{{- else }}
- {name: DATABASE_URL, valueFrom: {secretKeyRef: {name: {{ .database.existingSecret | quote }}, key: {{ .database.key | quote }}}}}
- {name: GROUNDSWELL_EVENTS__INBOX, value: "${DATABASE_URL}"}
{{- end }}
{{- end }}
{{- if eq .component "listener" }}
- {name: HOST, value: "0.0.0.0"}
- {name: PORT, value: "8080"}
- {name: GROUNDSWELL_EVENTS__LISTEN__TO, value: {{ .root.Values.listener.to }}}
- {name: GROUNDSWELL_EVENTS__LISTEN__WORK, value: {{ $works | quote }}}
{{- end }}
{{- end -}}

{{/* What `groundswell.driverPod` takes for either. Takes (dict "root" $ "component" "listener"). */}}
{{- define "groundswell.eventsPod" -}}
{{- $works := eq .component (include "groundswell.eventsWorker" .root) -}}
{{- $kept := and $works (eq .root.Values.events.inbox "sqlite") -}}
{{- $rights := dict "existingConfigMap" (include "groundswell.eventsFiles" .root) "rbac" (and $works .root.Values.events.rbac) -}}
{{- $driver := dict "root" .root "component" .component "part" (merge $rights (get .root.Values .component)) -}}
{{- $_ := set $driver "command" (concat (list "python" "-m" (printf "pipeline.events.%s" .component) "/etc/groundswell/run/config.yaml") $driver.part.args) -}}
{{- $_ := set $driver "env" (include "groundswell.eventsEnv" . | trim) -}}
{{- if $kept -}}
{{- $claim := default (printf "%s-inbox" (include "groundswell.name" .root)) .root.Values.events.volume.existingClaim -}}
{{- $_ := set $driver "mounts" "- {name: inbox, mountPath: /var/lib/groundswell}" -}}
{{- $_ := set $driver "volumes" (printf "- {name: inbox, persistentVolumeClaim: {claimName: %q}}" $claim) -}}
{{- end -}}
{{- if eq .component "listener" -}}
{{- $_ := set $driver "ports" "- {name: http, containerPort: 8080, protocol: TCP}" -}}
{{- $_ := set $driver "probe" "httpGet: {path: /readyz, port: http}\nperiodSeconds: 5\ntimeoutSeconds: 5\nfailureThreshold: 3" -}}
{{- $_ := set $driver "liveness" "httpGet: {path: /healthz, port: http}\ninitialDelaySeconds: 20\nperiodSeconds: 15\ntimeoutSeconds: 5\nfailureThreshold: 4" -}}
{{- $_ := set $driver "preStop" "exec: {command: [sleep, \"5\"]}    # until nobody sends it anything any more" -}}
{{- end -}}
metadata:
  labels:
    {{- include "groundswell.driverLabels" $driver | nindent 4 }}
  annotations:
    checksum/config: {{ include "groundswell.eventsData" .root | sha256sum | quote }}
spec:
  terminationGracePeriodSeconds: {{ int $driver.part.graceSeconds }}
  {{- include "groundswell.driverPod" $driver | nindent 2 }}
{{- end -}}

{{/* A file has one owner at a time: the old pod goes before the new one comes. */}}
{{- define "groundswell.eventsStrategy" -}}
{{- if and (eq .component (include "groundswell.eventsWorker" .root)) (eq .root.Values.events.inbox "sqlite") -}}
{type: Recreate}
{{- else -}}
{type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
{{- end -}}
{{- end -}}

{{/* What contradicts itself, by name. */}}
{{- define "groundswell.checkEvents" -}}
{{- $one := and .Values.listener.enabled (eq .Values.listener.to "inbox") -}}
{{- if or .Values.listener.enabled .Values.consumer.enabled -}}
{{- with .Values.events -}}
{{- if and (not .config) (not .existingConfigMap) -}}
{{- fail "events.config: found nothing; listener.enabled and consumer.enabled need it, or events.existingConfigMap" -}}
{{- end -}}
{{- if and (or .config .runs) .existingConfigMap -}}
{{- fail "events.config: found beside events.existingConfigMap; exactly one of them is read" -}}
{{- end -}}
{{- if and .config (eq $.Values.listener.to "queue") $.Values.listener.enabled (not .config.queue) -}}
{{- fail "listener.to: found queue, and no queue in events.config; it needs queue: {url: ...}" -}}
{{- end -}}
{{- $pods := and .config (dig "jobs" "pod" nil .config) -}}
{{- range $file, $run := .runs -}}
{{- if and $.Values.cluster.enabled (not $run.clusters) -}}
{{- $found := printf "found %s without clusters" $file -}}
{{- if $pods -}}
{{- fail (printf "events.runs: %s beside events.config.jobs.pod; a Job does not reach this release's cluster: give the run clusters of its own" $found) -}}
{{- end -}}
{{- if lt (int $.Values.autoscaling.minimum) 1 -}}
{{- fail (printf "autoscaling.minimum: found 0, and in events.runs %s; a run waits for its first worker: set 1" $found) -}}
{{- end -}}
{{- if and (eq $.Values.autoscaling.mode "dask") (gt (int $.Values.idleTimeoutSeconds) 0) -}}
{{- fail (printf "idleTimeoutSeconds: found %d, and in events.runs %s; the cluster would be gone before the next event: set 0, or give the run clusters of its own" (int $.Values.idleTimeoutSeconds) $found) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $part := list "listener" "consumer" -}}
{{- if hasKey (get $.Values $part).env "GROUNDSWELL_EVENTS__INBOX" -}}
{{- fail (printf "%s.env: found GROUNDSWELL_EVENTS__INBOX; where events wait is said by events.inbox" $part) -}}
{{- end -}}
{{- end -}}
{{- if hasKey .runs "config.yaml" -}}
{{- fail "events.runs: found config.yaml, which is the file of rules itself; give the run another name" -}}
{{- end -}}
{{- if and .rbac (not (get $.Values (include "groundswell.eventsWorker" $)).serviceAccount.create) (not (get $.Values (include "groundswell.eventsWorker" $)).serviceAccount.name) -}}
{{- fail (printf "events.rbac: found true beside %s.serviceAccount.create: false and no name; every pod of the namespace without an account would get its rights: name one" (include "groundswell.eventsWorker" $)) -}}
{{- end -}}
{{- if and (eq .inbox "sqlite") $one $.Values.consumer.enabled -}}
{{- fail "events.inbox: found sqlite beside listener.enabled and consumer.enabled; a file is one pod's, and the listener does the work itself: set consumer.enabled: false, or events.inbox: postgresql, or listener.to: queue" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.consumer.keda -}}
{{- if lt (int .maximum) (int .minimum) -}}
{{- fail (printf "consumer.keda.maximum: found %d, which is less than consumer.keda.minimum %d" (int .maximum) (int .minimum)) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.listener.ingress.enabled (not .Values.listener.enabled) -}}
{{- fail "listener.ingress.enabled: found true beside listener.enabled: false; it would lead nowhere" -}}
{{- end -}}
{{- end -}}

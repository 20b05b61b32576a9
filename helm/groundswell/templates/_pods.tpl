{{- define "groundswell.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "groundswell.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Memory asked for is memory had. No limit of processors: throttled threads gain nobody anything. */}}
{{- define "groundswell.resources" -}}
requests: {cpu: {{ .cores | quote }}, memory: {{ include "groundswell.quantity" .memory }}}
limits: {memory: {{ include "groundswell.quantity" .memory }}}
{{- end -}}

{{/* Labels of nodes that can be taken away, as each cloud writes them. Takes the operator: In or NotIn. */}}
{{- define "groundswell.spotNodes" -}}
{{- $spot := list (list "karpenter.sh/capacity-type" "spot") (list "eks.amazonaws.com/capacityType" "SPOT") (list "cloud.google.com/gke-spot" "true") (list "cloud.google.com/gke-preemptible" "true") (list "kubernetes.azure.com/scalesetpriority" "spot") -}}
{{- range $spot }}
- {key: {{ first . }}, operator: {{ $ }}, values: [{{ last . | quote }}]}
{{- end }}
{{- end -}}

{{- define "groundswell.onDemand" -}}
nodeAffinity:
  requiredDuringSchedulingIgnoredDuringExecution:
    nodeSelectorTerms:
      - matchExpressions:
          {{- include "groundswell.spotNodes" "NotIn" | trim | nindent 10 }}
{{- end -}}

{{- define "groundswell.preferSpot" -}}
nodeAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    {{- range include "groundswell.spotNodes" "In" | fromYamlArray }}
    - weight: 100
      preference: {matchExpressions: [{{ toJson . }}]}
    {{- end }}
{{- end -}}

{{/* Nothing evicts it for tidiness: a scheduler or driver that goes takes its work with it. */}}
{{- define "groundswell.stays" -}}
cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
karpenter.sh/do-not-disrupt: "true"
{{- end -}}

{{/* Which files of the Secret a pod is shown: the authority and its own two. Takes (dict "root" $ "role" "worker"). */}}
{{- define "groundswell.tlsVolume" -}}
name: tls
secret:
  secretName: {{ include "groundswell.tlsSecret" .root | quote }}
  defaultMode: 0440
  items:
    {{- range list "ca.crt" (printf "%s.crt" .role) (printf "%s.key" .role) }}
    - {key: {{ . }}, path: {{ . }}}
    {{- end }}
{{- end -}}

{{/* TLS and nothing else. Takes (dict "root" $ "role" "worker" "as" "client"): the authority takes a worker's certificate for a client's. */}}
{{- define "groundswell.tlsEnv" -}}
{{- if .root.Values.tls.enabled }}
{{- $comm := "DASK_DISTRIBUTED__COMM__" }}
- {name: {{ $comm }}DEFAULT_SCHEME, value: tls}
- {name: {{ $comm }}REQUIRE_ENCRYPTION, value: "true"}
- {name: {{ $comm }}TLS__CA_FILE, value: /etc/groundswell/tls/ca.crt}
- {name: {{ $comm }}TLS__{{ default .role .as | upper }}__CERT, value: /etc/groundswell/tls/{{ .role }}.crt}
- {name: {{ $comm }}TLS__{{ default .role .as | upper }}__KEY, value: /etc/groundswell/tls/{{ .role }}.key}
{{- end }}
{{- end -}}

{{/* What every container has. Takes (dict "root" $ "part" .Values.worker), of which image is optional. */}}
{{- define "groundswell.container" -}}
image: {{ default (include "groundswell.image" .root) .part.image | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  {{- include "groundswell.containerSecurity" . | nindent 2 }}
resources:
  {{- include "groundswell.resources" .part | nindent 2 }}
{{- end -}}

{{/* What every pod has. Takes (dict "root" $ "part" .Values.worker "account" name). */}}
{{- define "groundswell.pod" -}}
serviceAccountName: {{ .account | quote }}
automountServiceAccountToken: {{ default false .token }}
enableServiceLinks: false
securityContext:
  {{- include "groundswell.podSecurity" . | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "groundswell.schedulerPod" -}}
{{- $name := include "groundswell.name" . -}}
{{- include "groundswell.pod" (dict "root" $ "part" .Values.scheduler "account" (printf "%s-scheduler" $name)) }}
affinity:
  {{- include "groundswell.onDemand" . | nindent 2 }}
{{- with .Values.scheduler.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: scheduler
    {{- include "groundswell.container" (dict "root" $ "part" .Values.scheduler) | nindent 4 }}
    args: [dask, scheduler, --port, "8786", --dashboard-address, ":8787"]
    envFrom:
      - configMapRef: {name: {{ $name }}-dask}
    env:
      {{- include "groundswell.tlsEnv" (dict "root" $ "role" "scheduler") | trim | nindent 6 }}
      # By its API the operator scales and sees idleness without having this image's versions.
      - name: DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES
        value: {{ toJson (list "distributed.http.scheduler.prometheus" "distributed.http.scheduler.info" "distributed.http.scheduler.json" "distributed.http.health" "distributed.http.proxy" "distributed.http.statics" "distributed.http.scheduler.api") | quote }}
    ports:
      - {name: tcp-comm, containerPort: 8786, protocol: TCP}
      - {name: http-dashboard, containerPort: 8787, protocol: TCP}
    readinessProbe:
      httpGet: {path: /health, port: http-dashboard}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 6
    # Patient: a busy event loop is not a dead one, and ending it loses all that was done.
    livenessProbe:
      httpGet: {path: /health, port: http-dashboard}
      periodSeconds: 30
      timeoutSeconds: 10
      failureThreshold: 10
    volumeMounts:
      {{- include "groundswell.mounts" (dict "root" $) | nindent 6 }}
volumes:
  {{- include "groundswell.volumes" (dict "root" $ "part" .Values.scheduler "role" "scheduler") | nindent 2 }}
{{- end -}}

{{- define "groundswell.workerEnv" -}}
- {name: DASK_SCHEDULER_ADDRESS, value: {{ include "groundswell.address" . | quote }}}
{{- if ne .Values.autoscaling.mode "dask" }}
- {name: DASK_WORKER_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
{{- end }}
{{ include "groundswell.tlsEnv" (dict "root" $ "role" "worker") | trim }}
{{- end -}}

{{- define "groundswell.workerPod" -}}
{{- $name := include "groundswell.name" . -}}
{{- $worker := .Values.worker -}}
{{- include "groundswell.pod" (dict "root" $ "part" $worker "account" (include "groundswell.account" (dict "root" $ "component" "worker" "part" $worker))) }}
terminationGracePeriodSeconds: {{ int $worker.graceSeconds }}
affinity:
  {{- include ($worker.spot | ternary "groundswell.preferSpot" "groundswell.onDemand") . | nindent 2 }}
{{- if or $worker.spot $worker.tolerations }}
tolerations:
  {{- if $worker.spot }}
  {{- range list "cloud.google.com/gke-spot" "kubernetes.azure.com/scalesetpriority" "groundswell.io/spot" }}
  - {key: {{ . }}, operator: Exists, effect: NoSchedule}
  {{- end }}
  {{- end }}
  {{- with $worker.tolerations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
containers:
  - name: worker
    {{- include "groundswell.container" (dict "root" $ "part" $worker) | nindent 4 }}
    # One process. Dask's limit is below the container's: GDAL and the nanny live beside it, and no nanny outruns the kernel.
    args: [dask, worker, --name, $(DASK_WORKER_NAME), --nthreads, {{ int $worker.threads | quote }}, --memory-limit, {{ div (mul (include "groundswell.bytes" $worker.memory) 9) 10 | quote }}, --dashboard-address, ":8788", --death-timeout, "300"]
    envFrom:
      - configMapRef: {name: {{ $name }}-dask}
      - configMapRef: {name: {{ $name }}-worker}
      {{- range $worker.secrets }}
      - secretRef: {name: {{ . | quote }}}
      {{- end }}
    env:
      {{- include "groundswell.env" (dict "ours" (include "groundswell.workerEnv" .) "env" $worker.env) | trim | nindent 6 }}
    ports:
      - {name: http-dashboard, containerPort: 8788, protocol: TCP}
    readinessProbe:
      httpGet: {path: /health, port: http-dashboard}
      periodSeconds: 5
      timeoutSeconds: 5
      failureThreshold: 6
    # Without it a stopped worker loses the results that it holds, and others make them again.
    lifecycle:
      preStop:
        exec: {command: [python, -m, cluster.retire, --grace, {{ int $worker.graceSeconds | quote }}]}
    volumeMounts:
      {{- include "groundswell.mounts" (dict "root" $) | nindent 6 }}
volumes:
  {{- include "groundswell.volumes" (dict "root" $ "part" $worker "role" "worker") | nindent 2 }}
{{- end -}}

{{/* Takes (dict "root" $ "apart" false). */}}
{{- define "groundswell.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if and .root.Values.tls.enabled (not .apart) }}
- {name: tls, mountPath: /etc/groundswell/tls, readOnly: true}
{{- end }}
{{- end -}}

{{/* Takes (dict "root" $ "part" .Values.worker "role" "worker" "apart" false). */}}
{{- define "groundswell.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ include "groundswell.quantity" .part.disk }}}
{{- if and .root.Values.tls.enabled (not .apart) }}
- {{ include "groundswell.tlsVolume" (dict "root" .root "role" .role) | nindent 2 | trim }}
{{- end }}
{{- end -}}

{{/* Names as the operator looks for them. */}}
{{- define "groundswell.schedulerPorts" -}}
- {name: tcp-comm, port: 8786, targetPort: tcp-comm, protocol: TCP}
- {name: http-dashboard, port: 8787, targetPort: http-dashboard, protocol: TCP}
{{- end -}}

{{/*
A pod that drives work. Takes a dict: root; part, its values; component, its name; command, a list; env, further lines;
speaks, whether Dask's environment makes it a client of this release's cluster; apart, whether it has no part in it.
*/}}
{{- define "groundswell.driverPod" -}}
{{- $name := include "groundswell.name" .root -}}
{{- $file := or .part.config .part.existingConfigMap -}}
{{- $apart := or .apart (not .root.Values.cluster.enabled) -}}
{{- include "groundswell.pod" (dict "root" .root "part" .part "account" (include "groundswell.account" .) "token" .part.rbac) }}
affinity:
  {{- include "groundswell.onDemand" . | nindent 2 }}
containers:
  - name: {{ .component }}
    {{- include "groundswell.container" . | nindent 4 }}
    command: {{ toJson .command }}
    {{- if or .speaks .part.secrets }}
    envFrom:
      {{- if .speaks }}
      - configMapRef: {name: {{ $name }}-dask}
      {{- end }}
      {{- range .part.secrets }}
      - secretRef: {name: {{ . | quote }}}
      {{- end }}
    {{- end }}
    env:
      {{- include "groundswell.env" (dict "ours" (include "groundswell.driverEnv" .) "env" .part.env) | trim | nindent 6 }}
    {{- with include "groundswell.metricsPort" . }}
    ports:
      - {name: http-metrics, containerPort: {{ . }}, protocol: TCP}
    {{- end }}
    {{- with .ports }}
    ports:
      {{- . | nindent 6 }}
    {{- end }}
    volumeMounts:
      {{- include "groundswell.mounts" (dict "root" .root "apart" $apart) | nindent 6 }}
      {{- if $file }}
      - {name: config, mountPath: /etc/groundswell/run, readOnly: true}
      {{- end }}
      {{- with .mounts }}
      {{- . | trim | nindent 6 }}
      {{- end }}
    {{- with .probe }}
    readinessProbe:
      {{- . | trim | nindent 6 }}
    {{- end }}
    {{- with .liveness }}
    livenessProbe:
      {{- . | nindent 6 }}
    {{- end }}
    {{- with .preStop }}
    lifecycle:
      preStop:
        {{- . | nindent 8 }}
    {{- end }}
volumes:
  {{- include "groundswell.volumes" (dict "root" .root "part" .part "role" "worker" "apart" $apart) | nindent 2 }}
  {{- if $file }}
  - name: config
    configMap: {name: {{ default (printf "%s-%s" $name .component) .part.existingConfigMap | quote }}}
  {{- end }}
  {{- with .volumes }}
  {{- . | trim | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "groundswell.driverEnv" -}}
- {name: HOME, value: /tmp}
{{- if .speaks }}
- {name: DASK_SCHEDULER_ADDRESS, value: {{ include "groundswell.address" .root | quote }}}
{{ include "groundswell.tlsEnv" (dict "root" .root "role" "worker" "as" "client") | trim }}
{{- end }}
{{- with .env }}
{{ . }}
{{- end }}
{{- end -}}

{{/* What it needs to make a DaskCluster and to reach it; the rest goes with the DaskCluster, by ownership. */}}
{{- define "groundswell.driverRules" -}}
- {apiGroups: [kubernetes.dask.org], resources: [daskclusters], verbs: [create, get, list, patch, delete]}
- {apiGroups: [kubernetes.dask.org], resources: [daskautoscalers], verbs: [create, delete]}
- {apiGroups: [kubernetes.dask.org], resources: [daskworkergroups], verbs: [delete]}
- {apiGroups: [""], resources: [pods], verbs: [list]}
- {apiGroups: [""], resources: [pods/portforward], verbs: [create, get]}
- {apiGroups: [""], resources: [secrets], verbs: [create]}
- {apiGroups: [networking.k8s.io], resources: [networkpolicies], verbs: [create]}
- {apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [create]}
{{- end -}}

{{/* Labels of such a pod. */}}
{{- define "groundswell.driverLabels" -}}
{{ include "groundswell.podLabels" .root }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* Its config as a file: without `clusters:`, the runner's runs on this release's cluster; its numbers are seen from outside. */}}
{{- define "groundswell.driverConfig" -}}
{{- $config := deepCopy .part.config -}}
{{- if include "groundswell.metricsPort" . -}}
{{- $_ := set $config.run.metrics "host" (default "0.0.0.0" $config.run.metrics.host) -}}
{{- end -}}
{{- if eq .component "runner" -}}
{{- include "groundswell.onThisCluster" (dict "root" .root "config" $config) -}}
{{- else -}}
{{- toYaml $config -}}
{{- end -}}
{{- end -}}

{{/* A run's config, on this release's cluster where it has none of its own. Takes (dict "root" $ "config" map). */}}
{{- define "groundswell.onThisCluster" -}}
{{- $config := deepCopy .config -}}
{{- if not $config.clusters -}}
{{- $values := .root.Values -}}
{{- $cluster := dict "backend" "existing" "address" (include "groundswell.address" .root) "workers" (include "groundswell.most" .root | int) "threads" (int $values.worker.threads) "worker_memory" (div (mul (include "groundswell.bytes" $values.worker.memory) 9) 10) -}}
{{- if $values.tls.enabled -}}
{{- $_ := set $cluster "tls" (dict "ca" "/etc/groundswell/tls/ca.crt" "cert" "/etc/groundswell/tls/worker.crt" "key" "/etc/groundswell/tls/worker.key") -}}
{{- end -}}
{{- $_ := set $config "clusters" (dict "default" $cluster) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "groundswell.driverConfigMap" -}}
{{- if .part.config }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "groundswell.name" .root }}-{{ .component }}
  labels:
    {{- include "groundswell.labels" . | nindent 4 }}
data:
  config.yaml: |
    {{- include "groundswell.driverConfig" . | nindent 4 }}
{{- end }}
{{- end -}}

{{/* A Job of it. An exit code that a second try cannot change fails it at once; a lost node does not count as a try. */}}
{{- define "groundswell.jobSpec" -}}
backoffLimit: {{ int .part.retries }}
activeDeadlineSeconds: {{ int .part.deadlineSeconds }}
ttlSecondsAfterFinished: {{ int .part.keepSeconds }}
podFailurePolicy:
  rules:
    - action: Ignore
      onPodConditions: [{type: DisruptionTarget, status: "True"}]
    # bad config; refused, or stopped by budget, credentials or disk; another run has all jobs; nothing to do
    - action: FailJob
      onExitCodes: {containerName: {{ .component }}, operator: In, values: [2, 3, 4, 5]}
      onPodConditions: []    # Kubernetes before 1.29 wants it in every rule
template:
  metadata:
    labels:
      {{- include "groundswell.driverLabels" . | nindent 6 }}
    annotations:
      {{- include "groundswell.stays" . | nindent 6 }}
  spec:
    restartPolicy: Never
    terminationGracePeriodSeconds: 120
    {{- include "groundswell.driverPod" . | nindent 4 }}
{{- end -}}

{{- define "groundswell.cronSpec" -}}
schedule: {{ .part.schedule | quote }}
timeZone: {{ .part.timeZone | quote }}
concurrencyPolicy: Forbid
startingDeadlineSeconds: 3600
jobTemplate:
  metadata:
    labels:
      {{- include "groundswell.driverLabels" . | nindent 6 }}
  spec:
    {{- include "groundswell.jobSpec" . | nindent 4 }}
{{- end -}}

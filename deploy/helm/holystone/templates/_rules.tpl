{{/*
What the operator may do, rule by rule: the same as in deploy/kustomize/base/rbac.yaml, which says what each is for.
*/}}

{{/* Where there are NodeCleanups. */}}
{{- define "holystone.rules" -}}
- apiGroups: [holystone.dev]
  resources: [nodecleanups]
  verbs: [list, watch]
- apiGroups: [holystone.dev]
  resources: [nodecleanups/status]
  verbs: [patch]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [create, delete, list, watch]
- apiGroups: [apps]
  resources: [daemonsets]
  verbs: [create, update, delete, list, watch]
- apiGroups: [apps.kruise.io]
  resources: [advancedcronjobs, broadcastjobs]
  verbs: [create, patch, delete, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [holystone-operator]
  verbs: [get]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch, list]
{{- end }}

{{/* Where the operator itself is. */}}
{{- define "holystone.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [holystone-operator]
  verbs: [get, update]
{{- end }}

output "audience" {
  description = "Of the tokens that the roles are taken with."
  value       = local.audience
}

output "role" {
  description = "What each kind of pod may do."
  value       = { for name, statements in local.roles : name => jsonencode({ Version = "2012-10-17", Statement = statements }) }
}

output "trust" {
  description = "Who may take each of those roles."
  value       = { for name, statements in local.trust : name => jsonencode({ Version = "2012-10-17", Statement = statements }) }
}

output "trust_cluster" {
  description = "Who may take the cluster's role."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.service_trust.eks })
}

output "trust_node" {
  description = "Who may take the machines' role."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.service_trust.ec2 })
}

output "key" {
  description = "Who may use the key."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.key })
}

output "queue" {
  description = "Who may put messages into the queue."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.heard.queue })
}

output "dead" {
  description = "Who may put messages among the dead letters."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.heard.dead })
}

output "topic" {
  description = "Who may announce something."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.announced })
}

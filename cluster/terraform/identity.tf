# Who may do what: a role for each kind of pod that touches AWS, taken by its service account. No key is ever made.
resource "aws_iam_openid_connect_provider" "own" {
  count          = var.existing_oidc_provider ? 0 : 1
  url            = local.issuer
  client_id_list = [module.policies.audience]
}

data "aws_iam_openid_connect_provider" "existing" {
  count = var.existing_oidc_provider ? 1 : 0
  url   = local.issuer
}

locals {
  provider_arn = var.existing_oidc_provider ? data.aws_iam_openid_connect_provider.existing[0].arn : aws_iam_openid_connect_provider.own[0].arn
}

# The documents themselves: made without AWS, so that a test evaluates them for every partition.
module "policies" {
  source = "./modules/policies"

  partition    = local.partition
  account      = local.account
  region       = var.region
  name         = var.name
  cluster      = coalesce(var.existing_cluster, var.name)
  services     = local.services
  logs_service = local.logs_service

  inputs           = var.inputs
  outputs          = var.outputs
  bucket_keys      = var.bucket_keys
  event_buckets    = distinct([for each in values(var.event_sources) : each.bucket if each.mode == "merged"])
  source_topics    = var.source_topics
  service_accounts = var.service_accounts
  provider_url     = local.issuer
  provider_arn     = local.provider_arn
}

resource "aws_iam_role" "pod" {
  for_each           = toset(["autoscaler", "consumer", "listener", "runner", "worker"])
  name               = "${local.global_name}-${each.key}"
  description        = "Pods of ${local.cluster_name}: ${join(", ", var.service_accounts[each.key])}"
  assume_role_policy = module.policies.trust[each.key]
}

resource "aws_iam_role_policy" "pod" {
  for_each = aws_iam_role.pod
  name     = "groundswell"
  role     = each.value.name
  policy   = module.policies.role[each.key]
}

# One key a region: secrets of the cluster, its logs, images and messages.
resource "aws_kms_key" "own" {
  description             = "${var.name}: cluster secrets, logs, images, messages"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = module.policies.key
}

resource "aws_kms_alias" "own" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.own.key_id
}

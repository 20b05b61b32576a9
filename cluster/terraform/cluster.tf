# An EKS cluster of its own: schedulers on demand, workers on spot machines. Nothing of this with `existing_cluster`.
locals {
  cluster_name = local.own_cluster ? aws_eks_cluster.own[0].name : var.existing_cluster
  issuer       = local.own_cluster ? aws_eks_cluster.own[0].identity[0].oidc[0].issuer : data.aws_eks_cluster.existing[0].identity[0].oidc[0].issuer
  node_policies = local.own_cluster ? toset([
    "AmazonEC2ContainerRegistryPullOnly",
    "AmazonEKSWorkerNodePolicy",
    "AmazonEKS_CNI_Policy",
  ]) : toset([])
  architecture = var.arm ? "AL2023_ARM_64_STANDARD" : "AL2023_x86_64_STANDARD"
}

data "aws_eks_cluster" "existing" {
  count = local.own_cluster ? 0 : 1
  name  = var.existing_cluster
}

resource "aws_iam_role" "cluster" {
  count              = local.own_cluster ? 1 : 0
  name               = "${local.global_name}-cluster"
  assume_role_policy = module.policies.trust_cluster
}

resource "aws_iam_role_policy_attachment" "cluster" {
  count      = local.own_cluster ? 1 : 0
  role       = aws_iam_role.cluster[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonEKSClusterPolicy"
}

resource "aws_iam_role" "node" {
  count              = local.own_cluster ? 1 : 0
  name               = "${local.global_name}-node"
  assume_role_policy = module.policies.trust_node
}

resource "aws_iam_role_policy_attachment" "node" {
  for_each   = local.node_policies
  role       = aws_iam_role.node[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/${each.key}"
}

resource "aws_cloudwatch_log_group" "cluster" {
  count             = local.own_cluster ? 1 : 0
  name              = "/aws/eks/${var.name}/cluster" # EKS writes to this name and no other
  kms_key_id        = aws_kms_key.own.arn
  retention_in_days = 365
}

resource "aws_eks_cluster" "own" {
  #checkov:skip=CKV_AWS_39:the API answers from `api_cidrs` only, and by default from nowhere outside of the network
  #checkov:skip=CKV_AWS_38:the whole internet is refused by the validation of `api_cidrs`
  count                         = local.own_cluster ? 1 : 0
  name                          = var.name
  version                       = var.kubernetes_version
  role_arn                      = aws_iam_role.cluster[0].arn
  bootstrap_self_managed_addons = false
  enabled_cluster_log_types     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]

  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }

  encryption_config {
    resources = ["secrets"] # also a cluster's certificates
    provider {
      key_arn = aws_kms_key.own.arn
    }
  }

  vpc_config {
    subnet_ids              = local.subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.api_cidrs) > 0
    public_access_cidrs     = length(var.api_cidrs) > 0 ? var.api_cidrs : null
  }

  lifecycle {
    precondition {
      condition     = length(local.subnet_ids) > 1
      error_message = "vpc_id has no two private subnets tagged kubernetes.io/role/internal-elb = 1: tag them, or name them in subnet_ids."
    }
  }

  depends_on = [aws_cloudwatch_log_group.cluster, aws_iam_role_policy_attachment.cluster]
}

resource "aws_eks_access_entry" "admin" {
  for_each      = local.own_cluster ? toset(var.admins) : toset([])
  cluster_name  = aws_eks_cluster.own[0].name
  principal_arn = each.key
}

resource "aws_eks_access_policy_association" "admin" {
  for_each      = aws_eks_access_entry.admin
  cluster_name  = each.value.cluster_name
  principal_arn = each.value.principal_arn
  policy_arn    = "arn:${local.partition}:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"

  access_scope {
    type = "cluster"
  }
}

# Without these a node is never ready; network policies are ours to write, and this is what makes them hold.
resource "aws_eks_addon" "first" {
  for_each = local.own_cluster ? {
    kube-proxy = null
    vpc-cni    = jsonencode({ enableNetworkPolicy = "true" })
  } : {}
  cluster_name                = aws_eks_cluster.own[0].name
  addon_name                  = each.key
  configuration_values        = each.value
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
}

resource "aws_eks_addon" "dns" {
  count                       = local.own_cluster ? 1 : 0
  cluster_name                = aws_eks_cluster.own[0].name
  addon_name                  = "coredns"
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  depends_on                  = [aws_eks_node_group.system]
}

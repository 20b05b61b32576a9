# Two groups of machines. Pods cannot reach the machine's own role (one hop), so that each has what its account has.
resource "aws_launch_template" "node" {
  for_each               = local.own_cluster ? { system = 50, workers = var.worker_disk_gb } : {}
  name                   = "${var.name}-${each.key}"
  update_default_version = true

  block_device_mappings {
    device_name = "/dev/xvda"
    ebs {
      volume_size           = each.value
      volume_type           = "gp3"
      encrypted             = true
      delete_on_termination = true
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume"]) # a provider's default tags end at the template
    content {
      resource_type = tag_specifications.key
      tags = merge(var.tags, {
        Name                        = "${var.name}-${each.key}"
        "app.kubernetes.io/part-of" = "groundswell"
        "groundswell.io/region"     = var.region
      })
    }
  }
}

resource "aws_eks_node_group" "system" {
  count                  = local.own_cluster ? 1 : 0
  cluster_name           = aws_eks_cluster.own[0].name
  node_group_name_prefix = "system-"
  node_role_arn          = aws_iam_role.node[0].arn
  subnet_ids             = local.subnet_ids
  capacity_type          = "ON_DEMAND" # a scheduler that is taken away takes its run along
  ami_type               = local.architecture
  instance_types         = var.system_instance_types
  labels                 = { "groundswell.io/pool" = "system" }

  launch_template {
    id      = aws_launch_template.node["system"].id
    version = aws_launch_template.node["system"].latest_version
  }

  scaling_config {
    desired_size = var.system_nodes.minimum
    min_size     = var.system_nodes.minimum
    max_size     = var.system_nodes.maximum
  }

  update_config {
    max_unavailable = 1
  }

  lifecycle {
    create_before_destroy = true
    ignore_changes        = [scaling_config[0].desired_size] # the autoscaler's
  }

  depends_on = [
    aws_eks_addon.first,
    aws_iam_role_policy_attachment.node,
    aws_route_table_association.private, # the way out, there before them and still there when they go
  ]
}

resource "aws_eks_node_group" "workers" {
  count                  = local.own_cluster ? 1 : 0
  cluster_name           = aws_eks_cluster.own[0].name
  node_group_name_prefix = "workers-"
  node_role_arn          = aws_iam_role.node[0].arn
  subnet_ids             = local.subnet_ids
  capacity_type          = "SPOT"
  ami_type               = local.architecture
  instance_types         = var.worker_instance_types
  labels                 = { "groundswell.io/pool" = "workers" }

  # Only what says that it may be taken away comes here.
  taint {
    key    = "groundswell.io/spot"
    value  = "true"
    effect = "NO_SCHEDULE"
  }

  launch_template {
    id      = aws_launch_template.node["workers"].id
    version = aws_launch_template.node["workers"].latest_version
  }

  scaling_config {
    desired_size = 0
    min_size     = 0
    max_size     = var.worker_nodes
  }

  update_config {
    max_unavailable_percentage = 33
  }

  lifecycle {
    create_before_destroy = true
    ignore_changes        = [scaling_config[0].desired_size] # the autoscaler's
  }

  depends_on = [
    aws_eks_addon.first,
    aws_iam_role_policy_attachment.node,
    aws_route_table_association.private, # the way out, there before them and still there when they go
  ]
}

output "clusters" {
  description = "The section of a config that runs here: paste it below `clusters:`. Four workers fill a machine of the default size."
  value = yamlencode({
    (var.region) = merge({
      backend         = "kubernetes"
      context         = local.global_name
      namespace       = split(":", var.service_accounts.worker[0])[0]
      service_account = split(":", var.service_accounts.worker[0])[1]
      region          = var.region
      spot            = true
      workers         = [1, 4 * var.worker_nodes]
      threads         = 2
      worker_cores    = 1.9 # the machine keeps some of its eight to itself
      worker_memory   = "7GiB"
    }, local.image == null ? {} : { image = local.image })
  })
}

output "image" {
  description = "The image that runs, by digest; null before `make tf-image`."
  value       = local.image
}

output "image_repository" {
  description = "Where `make image-push` puts images of this region."
  value       = aws_ecr_repository.own.repository_url
}

output "roles" {
  description = "Role of each kind of pod: the annotation eks.amazonaws.com/role-arn of its service account."
  value       = { for kind, role in aws_iam_role.pod : kind => role.arn }
}

output "queue_url" {
  description = "Where the consumer hears of new objects."
  value       = aws_sqs_queue.objects.url
}

output "topic_arn" {
  description = "Where new objects are announced."
  value       = aws_sns_topic.objects.arn
}

output "next_steps" {
  description = "What remains to be done once, by whoever has kubectl and Helm."
  value = join("\n", [
    "aws eks update-kubeconfig --region ${var.region} --name ${local.cluster_name} --alias ${local.global_name}",
    "kubectl create namespace ${split(":", var.service_accounts.worker[0])[0]}",
    "kubectl label namespace ${split(":", var.service_accounts.worker[0])[0]} pod-security.kubernetes.io/enforce=restricted",
    "helm upgrade --install cluster-autoscaler cluster-autoscaler --repo https://kubernetes.github.io/autoscaler --namespace ${split(":", var.service_accounts.autoscaler[0])[0]} --create-namespace --set awsRegion=${var.region} --set autoDiscovery.clusterName=${local.cluster_name} --set rbac.serviceAccount.name=${split(":", var.service_accounts.autoscaler[0])[1]} --set-string 'rbac.serviceAccount.annotations.eks\\.amazonaws\\.com/role-arn=${aws_iam_role.pod["autoscaler"].arn}'",
    "helm upgrade --install dask-operator dask-kubernetes-operator --repo https://helm.dask.org --namespace dask-operator --create-namespace",
    "kubectl -n ${split(":", var.service_accounts.worker[0])[0]} create serviceaccount ${split(":", var.service_accounts.worker[0])[1]}",
    "kubectl -n ${split(":", var.service_accounts.worker[0])[0]} annotate serviceaccount ${split(":", var.service_accounts.worker[0])[1]} eks.amazonaws.com/role-arn=${aws_iam_role.pod["worker"].arn}",
  ])
}

# Images beside the workers: a pull from another region is slow and paid for.
resource "aws_ecr_repository" "own" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # an image is made again from its commit; a registry left behind is only paid for

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.own.arn
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "own" {
  repository = aws_ecr_repository.own.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last 30 images: older runs are made again from their commit."
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 30 }
      action       = { type = "expire" }
    }]
  })
}

# Refuses a digest that nobody has pushed to this region.
data "aws_ecr_image" "chosen" {
  count           = var.image_digest == null ? 0 : 1
  repository_name = aws_ecr_repository.own.name
  image_digest    = var.image_digest
}

locals {
  image = var.image_digest == null ? null : "${aws_ecr_repository.own.repository_url}@${data.aws_ecr_image.chosen[0].image_digest}"
}

# A network that is there, or one of its own: private subnets, one way out, and S3 without it.
locals {
  own_cluster = var.existing_cluster == null
  own_network = local.own_cluster && var.vpc_id == null
  zones       = local.own_network ? slice(data.aws_availability_zones.open[0].names, 0, min(var.zones, length(data.aws_availability_zones.open[0].names))) : []
  gateways    = var.nat_per_zone ? local.zones : slice(local.zones, 0, min(1, length(local.zones)))

  vpc_id = local.own_network ? aws_vpc.own[0].id : (
    local.own_cluster ? var.vpc_id : data.aws_eks_cluster.existing[0].vpc_config[0].vpc_id
  )
  subnet_ids = local.own_network ? [for zone in local.zones : aws_subnet.private[zone].id] : try(data.aws_subnets.given[0].ids, [])
}

data "aws_availability_zones" "open" {
  #checkov:skip=CKV_AWS_394:subnets are made by the names of the first few zones; a zone that AWS adds is named after the others
  count = local.own_network ? 1 : 0
  state = "available"

  # Where EKS puts no control plane. Source: Amazon EKS User Guide, "VPC and subnet requirements".
  exclude_zone_ids = ["cac1-az3", "use1-az3", "usw1-az2"]

  filter {
    name   = "opt-in-status" # no local zones: they have no spot machines to speak of
    values = ["opt-in-not-required"]
  }
}

data "aws_subnets" "given" {
  count = local.own_cluster && !local.own_network ? 1 : 0

  filter {
    name   = "vpc-id"
    values = [var.vpc_id]
  }

  dynamic "filter" {
    for_each = length(var.subnet_ids) > 0 ? [1] : []
    content {
      name   = "subnet-id"
      values = var.subnet_ids
    }
  }

  tags = length(var.subnet_ids) > 0 ? {} : { "kubernetes.io/role/internal-elb" = "1" }
}

resource "aws_vpc" "own" {
  #checkov:skip=CKV2_AWS_11:flow logs are priced by the byte of record and a run moves terabytes; who may talk to whom is settled by network policies, and VPCs given by vpc_id bring their own
  count                = local.own_network ? 1 : 0
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = { Name = var.name }
}

# The group that AWS gives every network lets its members talk: nobody is a member, and now it lets nobody.
resource "aws_default_security_group" "closed" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.own[0].id
}

resource "aws_internet_gateway" "own" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.own[0].id
  tags   = { Name = var.name }
}

# A /16 gives /19 to each zone's pods; the last of eight parts is cut again for what faces the internet.
resource "aws_subnet" "private" {
  for_each          = toset(local.zones)
  vpc_id            = aws_vpc.own[0].id
  availability_zone = each.key
  cidr_block        = cidrsubnet(var.cidr, 3, index(local.zones, each.key))
  tags              = { Name = "${var.name}-private-${each.key}", "kubernetes.io/role/internal-elb" = "1" }
}

resource "aws_subnet" "public" {
  for_each          = toset(local.zones)
  vpc_id            = aws_vpc.own[0].id
  availability_zone = each.key
  cidr_block        = cidrsubnet(cidrsubnet(var.cidr, 3, 7), 3, index(local.zones, each.key))
  tags              = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_route_table" "public" {
  count  = local.own_network ? 1 : 0
  vpc_id = aws_vpc.own[0].id
  tags   = { Name = "${var.name}-public" }

  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.own[0].id
  }
}

resource "aws_route_table_association" "public" {
  for_each       = aws_subnet.public
  subnet_id      = each.value.id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  for_each = toset(local.gateways)
  domain   = "vpc"
  tags     = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "own" {
  for_each      = toset(local.gateways)
  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = { Name = "${var.name}-${each.key}" }
  depends_on    = [aws_route_table_association.public]
}

resource "aws_route_table" "private" {
  for_each = toset(local.zones)
  vpc_id   = aws_vpc.own[0].id
  tags     = { Name = "${var.name}-private-${each.key}" }

  route {
    cidr_block     = "0.0.0.0/0"
    nat_gateway_id = aws_nat_gateway.own[contains(local.gateways, each.key) ? each.key : local.gateways[0]].id
  }
}

resource "aws_route_table_association" "private" {
  for_each       = aws_subnet.private
  subnet_id      = each.value.id
  route_table_id = aws_route_table.private[each.key].id
}

data "aws_vpc_endpoint_service" "s3" {
  count        = local.own_network ? 1 : 0
  service      = "s3"
  service_type = "Gateway"
}

# Free, and the most important line of the bill: through a NAT gateway each gigabyte read from S3 would be paid for.
resource "aws_vpc_endpoint" "s3" {
  count             = local.own_network ? 1 : 0
  vpc_id            = aws_vpc.own[0].id
  service_name      = data.aws_vpc_endpoint_service.s3[0].service_name
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [for table in aws_route_table.private : table.id]
  tags              = { Name = "${var.name}-s3" }
}

# A network that is given has its own; whether it has this one decides about the bill.
check "given_network_reaches_s3_without_nat" {
  data "aws_vpc_endpoint" "s3" {
    vpc_id       = local.own_network ? aws_vpc_endpoint.s3[0].vpc_id : local.vpc_id
    service_name = "com.amazonaws.${var.region}.s3"

    filter {
      name   = "vpc-endpoint-type"
      values = ["Gateway"]
    }
  }

  assert {
    condition     = data.aws_vpc_endpoint.s3.state == "available"
    error_message = "The network ${local.vpc_id} has no gateway endpoint of S3: every gigabyte read goes through its NAT gateway and is paid for."
  }
}

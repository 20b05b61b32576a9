# Image and cloud, one target a step: `make image`, then for each region tf-init, tf-plan, tf-apply, image-push, tf-image,
# tf-outputs; at its end tf-destroy. Included by the project's Makefile.
BUILDER ?= $(firstword $(foreach each,docker podman buildah,$(if $(shell command -v $(each) 2>/dev/null),$(each))))
CPU ?= x86-64-v3
PLATFORM ?= linux/$(if $(filter neoverse-%,$(CPU)),arm64,amd64)
TAG ?= $(shell git describe --always --dirty --abbrev=12 --exclude='*')
TF := GROUNDSWELL_PYTHON='$(CURDIR)/$(RUN)/python' TF_DATA_DIR=.terraform/$(REGION) terraform -chdir=cluster/terraform
# The last of two values counts: a file that was copied from another region's may still name that one.
TF_VALUES = -var-file=regions/$(REGION).tfvars $(if $(wildcard cluster/terraform/regions/$(REGION).image.tfvars),-var-file=regions/$(REGION).image.tfvars) -var=region=$(REGION)

image:  ## build the image of scheduler, worker and runner: groundswell:COMMIT (BUILDER=docker CPU=x86-64-v3 BASE=python@sha256:...)
	@test -n "$(TAG)" || { echo "Say which: make image TAG=1" >&2; exit 1; }
	@test -n "$(BUILDER)" || { echo "Install docker, podman or buildah, or name it: make image BUILDER=..." >&2; exit 1; }
	$(BUILDER) build --file cluster/image/Dockerfile $(if $(filter-out docker,$(notdir $(BUILDER))),--ignorefile cluster/image/Dockerfile.dockerignore) \
	  --platform $(PLATFORM) --build-arg CPU=$(CPU) --build-arg REVISION=$(TAG) $(if $(BASE),--build-arg BASE=$(BASE)) --tag groundswell:$(TAG) .

image-push: region  ## push it to a region's registry and say its digest (REGION=us-west-2)
	@set -e; repository=$$($(TF) output -raw image_repository); \
	  aws ecr get-login-password --region $(REGION) | $(BUILDER) login --username AWS --password-stdin "$${repository%%/*}"; \
	  $(BUILDER) tag groundswell:$(TAG) "$$repository:$(TAG)"; \
	  $(BUILDER) push "$$repository:$(TAG)"; \
	  aws ecr describe-images --region $(REGION) --repository-name "$${repository#*/}" --image-ids imageTag=$(TAG) \
	    --query 'imageDetails[0].imageDigest' --output text

tf-init: region $(READY)  ## begin or take up a region's state (REGION=us-west-2 STATE_BUCKET=bucket STATE_REGION=us-west-2)
	@test -n "$(STATE_BUCKET)" || { echo "Say where states are kept: make tf-init REGION=$(REGION) STATE_BUCKET=my-states" >&2; exit 1; }
	$(TF) init -reconfigure '-backend-config=bucket=$(STATE_BUCKET)' -backend-config=region=$(or $(STATE_REGION),$(REGION)) \
	  -backend-config=key=groundswell/$(REGION).tfstate

tf-plan: region  ## what would be made or changed in a region, by cluster/terraform/regions/REGION.tfvars
	$(TF) plan $(TF_VALUES) -out=.terraform/$(REGION)/plan

tf-apply: region  ## make exactly what tf-plan said
	$(TF) apply .terraform/$(REGION)/plan

tf-image: region  ## let a region run another image (REGION=us-west-2 DIGEST=sha256:...); asks first
	@printf '%s' '$(DIGEST)' | grep -qxE 'sha256:[0-9a-f]{64}' || \
	  { echo "Say which: make tf-image REGION=$(REGION) DIGEST=sha256:... (make image-push prints it)" >&2; exit 1; }
	$(TF) apply $(TF_VALUES) '-var=image_digest=$(DIGEST)'
	printf 'image_digest = "%s"\n' '$(DIGEST)' > cluster/terraform/regions/$(REGION).image.tfvars

tf-outputs: region  ## what a region offers; its `clusters:` section, and what remains to be done once
	@$(TF) output -raw clusters
	@$(TF) output -raw next_steps
	@echo
	@$(TF) output

tf-destroy: region  ## take a region down; data, buckets and others' notifications stay; asks first
	$(TF) apply -destroy $(TF_VALUES)

check-cloud: .venv/checkov/bin/checkov  ## Terraform's format and checkov's rules (checkov has an environment of its own)
	terraform fmt -check -recursive cluster/terraform
	$< --skip-download --compact --quiet --framework terraform --directory cluster/terraform
	$< --skip-download --compact --quiet --framework dockerfile --file cluster/image/Dockerfile

# Its own pins would hold back the project's.
.venv/checkov/bin/checkov: | $(READY)
	$(RUN)/python -m venv .venv/checkov
	.venv/checkov/bin/python -m pip install --quiet --disable-pip-version-check checkov==3.3.30

region:
	@test -n "$(REGION)" || { echo "Say which region: make $(MAKECMDGOALS) REGION=us-west-2" >&2; exit 1; }
	@case '$(REGION)' in *[!a-z0-9-]*) echo 'REGION: that is no region: $(REGION)' >&2; exit 1;; esac
	@test -f cluster/terraform/regions/$(REGION).tfvars || { echo "Write cluster/terraform/regions/$(REGION).tfvars first: regions/example.tfvars shows how" >&2; exit 1; }

.PHONY: check-cloud image image-push region tf-apply tf-destroy tf-image tf-init tf-outputs tf-plan

//go:build pins

package pins

import (
	_ "github.com/CycloneDX/cyclonedx-go"
	_ "github.com/buildpacks/imgutil/remote"
	_ "github.com/buildpacks/lifecycle/buildpack"
	_ "github.com/buildpacks/lifecycle/cache"
	_ "github.com/buildpacks/lifecycle/image"
	_ "github.com/buildpacks/lifecycle/layers"
	_ "github.com/buildpacks/lifecycle/phase"
	_ "github.com/buildpacks/lifecycle/platform"
	_ "github.com/containerd/containerd/api/services/tasks/v1"
	_ "github.com/containerd/containerd/v2/client"
	_ "github.com/containerd/containerd/v2/contrib/seccomp"
	_ "github.com/containerd/containerd/v2/core/leases"
	_ "github.com/containerd/containerd/v2/core/remotes/docker"
	_ "github.com/containerd/containerd/v2/core/remotes/docker/config"
	_ "github.com/containerd/containerd/v2/pkg/cio"
	_ "github.com/containerd/containerd/v2/pkg/oci"
	_ "github.com/containerd/go-cni"
	_ "github.com/containerd/typeurl/v2"
	_ "github.com/containernetworking/cni/libcni"
	_ "github.com/opencontainers/go-digest"
	_ "github.com/opencontainers/image-spec/specs-go/v1"
	_ "oras.land/oras-go/v2"
	_ "oras.land/oras-go/v2/registry/remote"
)

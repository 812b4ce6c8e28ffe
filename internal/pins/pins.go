//go:build pins

package pins

import (
	_ "github.com/CycloneDX/cyclonedx-go"
	_ "github.com/containerd/go-cni"
	_ "github.com/containernetworking/cni/libcni"
	_ "github.com/opencontainers/go-digest"
	_ "github.com/opencontainers/image-spec/specs-go/v1"
	_ "oras.land/oras-go/v2"
	_ "oras.land/oras-go/v2/registry/remote"
)

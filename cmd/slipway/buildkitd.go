package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/slipway-paas/slipway/internal/builder"
	"github.com/slipway-paas/slipway/internal/builder/buildkitd"
	"github.com/slipway-paas/slipway/internal/builder/dockerfile"
)

// buildkitdCommand is the child that serve starts for each Dockerfile build.
func buildkitdCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "buildkitd",
		Short:  "Build one Dockerfile; started by serve",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return buildkitd.Serve(cmd.Context(), os.Stdin) },
	}
}

// fetchEnvironment are the variables of this process that BuildKit sees, for
// base images. Steps see none of them.
var fetchEnvironment = []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"}

func dockerfileOptions(o *options, password string) dockerfile.Options {
	var env []string
	for _, name := range fetchEnvironment {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return dockerfile.Options{
		// This very file, also when it was replaced meanwhile.
		Dir: o.path("dockerfile"), Command: []string{"/proc/self/exe", "buildkitd"}, Env: env,
		RegistryAddr: o.Registry, RegistryUser: registryUser, RegistryPassword: password, Hosts: o.hosts,
		Limits:     builder.Limits{Timeout: o.BuildTimeout, Silence: o.BuildSilence, MemoryBytes: o.BuildMemory << 20, DiskBytes: o.BuildDisk << 20},
		CacheBytes: o.BuildCache << 20,
	}
}

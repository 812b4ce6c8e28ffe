package controller

import (
	"maps"
	"slices"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// processesOf are the process types of a build that can be kept running, by
// name: those of its Procfile but the release process, and cmd, what an image
// does by itself.
func processesOf(build platform.Build) []string {
	all := maps.Clone(build.Procfile)
	if all == nil {
		all = make(map[string]string)
	}
	delete(all, platform.ProcessRelease)
	if build.Kind == platform.ImageNamed || build.Kind == platform.ImageDockerfile {
		all["cmd"] = ""
	}
	return slices.Sorted(maps.Keys(all))
}

// start says how a process type of a build is started: what stands in for the
// image's entrypoint and its arguments (Deis contract 3.5).
func start(build platform.Build, process string) (entrypoint, args []string) {
	line, declared := build.Procfile[process]
	switch {
	case build.Kind == platform.ImageCNB && declared:
		return []string{"/cnb/process/" + process}, nil
	case build.Kind == platform.ImageSlug || build.Kind == "" || process != "cmd":
		return startLine(build, line)
	case declared:
		return nil, strings.Fields(line)
	}
	return nil, nil
}

// startLine says how a command line is run in a build's image.
func startLine(build platform.Build, line string) (entrypoint, args []string) {
	switch build.Kind {
	case platform.ImageNamed, platform.ImageDockerfile:
		return []string{"/bin/bash", "-c"}, []string{line}
	case platform.ImageCNB:
		return []string{"/cnb/lifecycle/launcher"}, []string{line}
	case platform.ImageSlug:
	}
	return nil, []string{line}
}

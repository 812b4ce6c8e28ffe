package controller

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/slipway-paas/slipway/internal/platform"
)

// defaultGrace is the time between SIGTERM and SIGKILL (Deis contract 2.5).
const defaultGrace = 30 * time.Second

// maxProcesses bounds the processes and threads of one instance, so that one
// that forks without end cannot take the machine's process table.
const maxProcesses = 4096

// workload asks for the groups of some releases of one app, side by side, and
// for what has to stay until they are up.
func (c *Controller) workload(app platform.App, releases ...*deployable) platform.Workload {
	w := platform.Workload{App: app.ID}
	for _, d := range releases {
		w.Groups = append(w.Groups, c.groups(app, d)...)
	}
	w.Groups = append(w.Groups, c.outgoing(app.ID, w.Groups)...)
	return w
}

// groups are the process types of d that shall run, by name.
func (c *Controller) groups(app platform.App, d *deployable) []platform.Group {
	if !d.hasBuild() {
		return nil
	}
	var groups []platform.Group
	for _, process := range processesOf(d.build) {
		quantity := app.Formation[process]
		if quantity == 0 {
			continue
		}
		spec := c.standing(d, process)
		if len(spec.Mounts) > 0 {
			quantity = 1 // whatever was asked for: a volume has one writer
		}
		groups = append(groups, platform.Group{Release: d.release.Version, Process: process, Quantity: quantity, Spec: spec})
	}
	return groups
}

// standing is how an instance runs that is kept running: with an address where
// requests are led to it, and with the hooks of its process type.
func (c *Controller) standing(d *deployable, process string) platform.Spec {
	spec := c.spec(d, process)
	spec.PostStart, spec.PreStop = d.config.PostStart[process], d.config.PreStop[process]
	spec.Port = platform.Routable(process) && listenPort(d) != 0 || d.addressed[process]
	if spec.Ports = d.ports[process]; reachable(spec) {
		spec.Drain = c.options.Drain
	}
	if spec.Mounts = platform.MountsOf(d.app, d.config.Volumes, process); len(spec.Mounts) > 0 {
		spec.Drain = min(spec.Drain, c.options.HandOver)
	}
	return spec
}

// spec is how a process type of d runs once, whatever it is.
func (c *Controller) spec(d *deployable, process string) platform.Spec {
	health := healthOf(d.config, process)
	entrypoint, args := start(d.build, process)
	return platform.Spec{
		Image: d.build.Image, Bare: d.build.Bare(),
		Entrypoint: entrypoint, Args: args,
		Env:       environment(d),
		Listen:    listenPort(d),
		Readiness: health.Readiness,
		Liveness:  health.Liveness,
		Limits:    c.limits(d.config, process),
		Grace:     graceOf(d.config, process),
	}
}

// listenPort is the port that an instance with a network of its own listens
// at: the config's PORT, 5000 for a slug, the first that the image exposes; 0
// where nobody said (Deis contract 3.5).
func listenPort(d *deployable) int {
	if port, err := strconv.Atoi(d.config.Env()["PORT"]); err == nil {
		return port
	}
	switch {
	case d.build.Kind != platform.ImageNamed && d.build.Kind != platform.ImageDockerfile:
		return 5000
	case len(d.build.Ports) > 0:
		return d.build.Ports[0]
	}
	return 0
}

// environment is what the platform tells a process, the app's own config on
// top (Deis contract 3.6).
func environment(d *deployable) map[string]string {
	env := map[string]string{
		"DEIS_APP":                    d.release.App,
		"SLIPWAY_APP":                 d.release.App,
		"WORKFLOW_RELEASE":            d.release.Tag(),
		"SLIPWAY_RELEASE":             d.release.Tag(),
		"WORKFLOW_RELEASE_SUMMARY":    d.release.Summary,
		"WORKFLOW_RELEASE_CREATED_AT": d.release.Created.UTC().Format("2006-01-02T15:04:05Z"),
	}
	if d.build.SHA != "" {
		env["SOURCE_VERSION"] = d.build.SHA
	}
	maps.Copy(env, d.config.Env())
	return env
}

// healthOf picks the probes of a process type, "web/cmd" standing for both.
func healthOf(config platform.Config, process string) platform.Healthcheck {
	if health, ok := config.Healthchecks[process]; ok {
		return health
	}
	if platform.Routable(process) {
		return config.Healthchecks["web/cmd"]
	}
	return platform.Healthcheck{}
}

// limits reads the limits of a process type, the platform's own where the app
// has none. They were validated when they were set.
func (c *Controller) limits(config platform.Config, process string) platform.Limits {
	limits := platform.Limits{Processes: maxProcesses, MemoryBytes: c.options.InstanceMemory}
	if text, ok := config.Memory[process]; ok {
		limits.MemoryBytes, _ = platform.ParseMemory(text)
	}
	if text, ok := config.CPU[process]; ok {
		limits.MilliCPU, _ = platform.ParseCPU(text)
	}
	return limits
}

func graceOf(config platform.Config, process string) time.Duration {
	for _, text := range []string{config.Grace[process], config.Env()["KUBERNETES_POD_TERMINATION_GRACE_PERIOD_SECONDS"]} {
		if seconds, err := strconv.Atoi(text); err == nil && seconds > 0 && seconds <= 24*3600 {
			return time.Duration(seconds) * time.Second
		}
	}
	return defaultGrace
}

// routableProcess is the process type that gets d's requests: web, else cmd,
// else none.
func routableProcess(d *deployable) string {
	processes := processesOf(d.build)
	for _, process := range []string{"web", "cmd"} {
		if slices.Contains(processes, process) {
			return process
		}
	}
	return ""
}

// deployTimeout is how long d's instances may take to be up: the platform's
// limit, or the app's DEIS_DEPLOY_TIMEOUT, and what its probes wait at first.
func (c *Controller) deployTimeout(d *deployable) time.Duration {
	timeout := c.options.DeployTimeout
	if seconds, err := strconv.Atoi(strings.TrimSpace(d.config.Env()["DEIS_DEPLOY_TIMEOUT"])); err == nil && seconds > 0 && seconds <= 24*3600 {
		timeout = time.Duration(seconds) * time.Second
	}
	delay := 0
	for _, process := range processesOf(d.build) {
		if probe := healthOf(d.config, process).Readiness; probe != nil {
			delay = max(delay, probe.InitialDelaySeconds)
		}
	}
	return timeout + time.Duration(delay)*time.Second + unpacking(d.build)
}

// unpacking is what a node may take beyond the usual to have a large image: a
// second for 20 MiB, ten minutes at most.
func unpacking(build platform.Build) time.Duration {
	return min(time.Duration(build.Size>>20)*time.Second/20, 10*time.Minute)
}

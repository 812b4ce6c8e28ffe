package images

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/slipway-paas/slipway/internal/platform"
)

// config is the part of an image's config that the platform reads (OCI image
// specification 1.1, config).
type config struct {
	system
	Config struct {
		User         string              `json:"User"`
		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		Entrypoint   []string            `json:"Entrypoint"`
		Cmd          []string            `json:"Cmd"`
		WorkingDir   string              `json:"WorkingDir"`
		Labels       map[string]string   `json:"Labels"`
		StopSignal   string              `json:"StopSignal"`
	} `json:"config"`
	RootFS struct {
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// readConfig is what an image says of itself, if it is for this kind of
// machine and agrees with its manifest.
func readConfig(text []byte, d *document, machine system) (platform.Image, error) {
	var c config
	if err := json.Unmarshal(text, &c); err != nil {
		return platform.Image{}, unfitf("has a config that cannot be read")
	}
	switch {
	case c.OS == "" || c.Architecture == "":
		return platform.Image{}, unfitf("does not say what kind of machine it is for")
	case suits(c.system, machine) == 0:
		return platform.Image{}, otherMachine(machine, c.String())
	case len(c.RootFS.DiffIDs) != len(d.Layers):
		return platform.Image{}, unfitf("has a manifest that lies: it has %d layers, and its config %d", len(d.Layers), len(c.RootFS.DiffIDs))
	}
	return platform.Image{
		Entrypoint: c.Config.Entrypoint, Cmd: c.Config.Cmd, User: c.Config.User, WorkingDir: c.Config.WorkingDir,
		StopSignal: c.Config.StopSignal, Labels: c.Config.Labels, Ports: tcpPorts(c.Config.ExposedPorts),
		Layers: len(d.Layers), Size: d.size(), OS: c.OS, Architecture: c.Architecture,
	}, nil
}

// maxPorts bounds the ports of an image that the platform remembers.
const maxPorts = 100

// tcpPorts are the ports of "80/tcp" and "80", ascending.
func tcpPorts(exposed map[string]struct{}) []int {
	var ports []int
	for text := range exposed {
		number, protocol, _ := strings.Cut(text, "/")
		if n, err := strconv.Atoi(number); err == nil && n > 0 && n <= 65535 && (protocol == "" || strings.EqualFold(protocol, "tcp")) {
			ports = append(ports, n)
		}
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	return ports[:min(len(ports), maxPorts)]
}

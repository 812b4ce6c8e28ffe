package buildpack

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/slipway-paas/slipway/internal/platform"
)

// findings are what the buildpacks said about the tree.
type findings struct {
	names  []string          // what bin/detect printed
	types  map[string]string // default_process_types
	config map[string]string // config_vars: defaults for the environment
}

func (f findings) detected() string { return strings.Join(f.names, ", ") }

// release is what bin/release prints.
type release struct {
	ConfigVars          map[string]string `yaml:"config_vars"`
	DefaultProcessTypes map[string]string `yaml:"default_process_types"`
}

// readFindings reads the driver's files. The build could write anything there.
func readFindings(w *workspace) (findings, error) {
	text, err := readSmall(w.out, "detected")
	if err != nil {
		return findings{}, err
	}
	found := findings{types: make(map[string]string), config: make(map[string]string)}
	for name := range strings.Lines(text) {
		found.names = append(found.names, fmt.Sprintf("%.100s", strings.TrimSpace(name)))
	}
	for n, name := range found.names[:min(len(found.names), maxPacks)] {
		if err := found.add(w, n, name); err != nil {
			return findings{}, err
		}
	}
	return found, nil
}

var variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// add merges what the n-th buildpack released; later ones win.
func (f *findings) add(w *workspace, n int, name string) error {
	text, err := readSmall(w.out, fmt.Sprintf("release-%d", n))
	if err != nil {
		return err
	}
	var said release
	if err := yaml.Unmarshal([]byte(text), &said); err != nil {
		return releaseError(name, "does not print YAML: %v", err)
	}
	for key := range said.ConfigVars {
		if !variable.MatchString(key) {
			return releaseError(name, "names the variable %q", key)
		}
	}
	for process, command := range said.DefaultProcessTypes {
		if !platform.ValidProcessType(process) || strings.TrimSpace(command) == "" {
			return releaseError(name, "proposes the process type %q with the command %q", process, command)
		}
	}
	maps.Copy(f.config, said.ConfigVars)
	maps.Copy(f.types, said.DefaultProcessTypes)
	return nil
}

func releaseError(name, format string, args ...any) error {
	return &platform.UserError{
		Kind:    platform.ErrInvalid,
		Message: fmt.Sprintf("bin/release of the %s buildpack %s", name, fmt.Sprintf(format, args...)),
		Cure:    "Fix the buildpack, or name another with BUILDPACK_URL.",
	}
}

// writeDefaults adds config_vars to the tree as defaults for the environment.
func writeDefaults(tree string, config map[string]string) error {
	if len(config) == 0 {
		return nil
	}
	var script strings.Builder
	for _, key := range slices.Sorted(maps.Keys(config)) {
		quoted := "'" + strings.ReplaceAll(config[key], "'", `'\''`) + "'"
		fmt.Fprintf(&script, "if [ -z \"${%s+set}\" ]; then export %s=%s; fi\n", key, key, quoted)
	}
	// A root keeps the file inside the tree whatever links a build left there.
	root, err := os.OpenRoot(tree)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	if err := root.MkdirAll(".profile.d", 0o755); err != nil {
		return fileError(".profile.d", "is no directory of the tree")
	}
	const name = ".profile.d/000-buildpack-defaults.sh"
	_ = root.Remove(name)
	return root.WriteFile(name, []byte(script.String()), 0o644)
}

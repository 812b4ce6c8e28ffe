package platform

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// Volume is a directory of an app that outlives its instances. It has one
// writer at a time: a process type that mounts one runs at most once.
type Volume struct {
	Name string `json:"name"`
	// Mounts maps a process type to the absolute path it finds the volume at.
	// At most one process type mounts it.
	Mounts map[string]string `json:"mounts,omitempty"`
}

// Mount is a volume at a path of an instance.
type Mount struct {
	// App is the uuid of the app whose volume it is: that stays when the app
	// gets another id, and no other app ever has it.
	App    string `json:"app"`
	Volume string `json:"volume"`
	Path   string `json:"path"`
}

// SameVolume reports whether two mounts are of one volume.
func (m Mount) SameVolume(other Mount) bool { return m.App == other.App && m.Volume == other.Volume }

// Bounds of volumes.
const (
	MaxVolumes   = 10 // of an app
	maxMountPath = 255
)

var dnsLabel = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidVolumeName checks the form of a volume's name: a DNS label.
func ValidVolumeName(name string) error {
	if !dnsLabel.MatchString(name) {
		return Invalid("name", "A volume's name has 1 to 63 of a-z, 0-9 and hyphens, and begins and ends with a letter or digit.")
	}
	return nil
}

// ValidMountPath checks where a volume is mounted: an absolute path that hides
// nothing an instance cannot do without.
func ValidMountPath(at string) error {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) || r == ':' || r == ',' }
	switch {
	case !path.IsAbs(at) || path.Clean(at) != at:
		return Invalid("mounts", "%q is no clean absolute path: write it like /data, without . or .. and without a slash at the end.", clipped(at))
	case len(at) > maxMountPath:
		return Invalid("mounts", "The path of a volume has at most %d bytes.", maxMountPath)
	case strings.ContainsFunc(at, unprintable):
		return Invalid("mounts", "%q: the path of a volume has no colon, comma or unprintable character.", at)
	case hidesTheSystem(at):
		return Invalid("mounts", "%s cannot be a volume: an instance would miss what is there. Choose another path, such as /data or /app/data.", at)
	}
	return nil
}

// hidesTheSystem reports whether a volume at a path would cover what every
// instance needs, or would be covered by the kernel's own file systems.
func hidesTheSystem(at string) bool {
	for _, kernel := range []string{"/proc", "/sys", "/dev"} {
		if at == kernel || strings.HasPrefix(at, kernel+"/") {
			return true
		}
	}
	needed := []string{"/", "/app", "/bin", "/cnb", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/run", "/sbin", "/slipway", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin", "/var"}
	return slices.Contains(needed, at)
}

// clipped is what an error quotes of a text of any length.
func clipped(text string) string {
	if len(text) > maxMountPath {
		return strings.ToValidUTF8(text[:maxMountPath], "") + "…"
	}
	return text
}

// ValidVolumes checks an app's volumes against one another.
func ValidVolumes(volumes map[string]Volume) error {
	if len(volumes) > MaxVolumes {
		return Invalid("name", "An app has at most %d volumes.", MaxVolumes)
	}
	for _, name := range slices.Sorted(maps.Keys(volumes)) {
		mounts := volumes[name].Mounts
		if len(mounts) > 1 {
			processes := slices.Sorted(maps.Keys(mounts))
			return Invalid("mounts", "Volume %s would be mounted in %s: it has one writer at a time, so one process type mounts it. Unmount it from the other first, or give each its own.",
				name, strings.Join(processes, " and "))
		}
		for process, at := range mounts {
			if other := covering(volumes, name, process, at); other != "" {
				return Invalid("mounts", "Volumes %s and %s overlap in %s: %s and %s.", name, other, process, at, volumes[other].Mounts[process])
			}
		}
	}
	return nil
}

// covering is another volume of a process type whose path is, holds, or lies
// in that of one; empty: none.
func covering(volumes map[string]Volume, name, process, at string) string {
	for _, other := range slices.Sorted(maps.Keys(volumes)) {
		there := volumes[other].Mounts[process]
		if other != name && there != "" && (strings.HasPrefix(at+"/", there+"/") || strings.HasPrefix(there+"/", at+"/")) {
			return other
		}
	}
	return ""
}

// MountsOf are the mounts of a process type of an app, by path.
func MountsOf(app string, volumes map[string]Volume, process string) []Mount {
	var mounts []Mount
	for _, volume := range volumes {
		if at := volume.Mounts[process]; at != "" {
			mounts = append(mounts, Mount{App: app, Volume: volume.Name, Path: at})
		}
	}
	slices.SortFunc(mounts, func(a, b Mount) int { return strings.Compare(a.Path, b.Path) })
	return mounts
}

// Shared is a volume that two specs mount, or nothing.
func Shared(a, b Spec) (volume string, shared bool) {
	for _, m := range a.Mounts {
		if slices.ContainsFunc(b.Mounts, m.SameVolume) {
			return m.Volume, true
		}
	}
	return "", false
}

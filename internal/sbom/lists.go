package sbom

import (
	"bufio"
	"encoding/json"
	"io"
	"regexp"
	"strings"
)

// stanzas hands each block of "Key: value" lines to each. Lines that continue
// one are passed over.
func stanzas(content io.Reader, between string, each func(map[string]string)) {
	lines := bufio.NewScanner(io.LimitReader(content, maxText))
	lines.Buffer(nil, 1<<20)
	fields := make(map[string]string)
	for lines.Scan() {
		line := lines.Text()
		if strings.TrimSpace(line) == "" {
			each(fields)
			fields = make(map[string]string)
			continue
		}
		key, value, ok := strings.Cut(line, between)
		if ok && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") && len(fields) < 200 {
			if _, twice := fields[key]; !twice {
				fields[key] = strings.TrimSpace(value)
			}
		}
	}
	each(fields)
}

// dpkg reads Debian's list of what is installed (deb-control(5)).
func dpkg(content io.Reader) (found []component) {
	stanzas(content, ":", func(f map[string]string) {
		status, told := f["Status"]
		if f["Package"] != "" && (!told || strings.HasSuffix(status, " installed")) {
			found = append(found, component{kind: "deb", name: f["Package"], version: f["Version"], arch: f["Architecture"]})
		}
	})
	return found
}

// apk reads Alpine's.
func apk(content io.Reader) (found []component) {
	stanzas(content, ":", func(f map[string]string) {
		if f["P"] != "" {
			found = append(found, component{kind: "apk", name: f["P"], version: f["V"], arch: f["A"]})
		}
	})
	return found
}

// python reads the core metadata of one installed package; its description
// begins at the first empty line.
func python(content io.Reader) []component {
	var found []component
	stanzas(content, ":", func(f map[string]string) {
		if len(found) == 0 {
			found = []component{{kind: "pypi", name: strings.ToLower(f["Name"]), version: f["Version"]}}
		}
	})
	return found
}

func osRelease(content io.Reader) map[string]string {
	fields := make(map[string]string)
	stanzas(content, "=", func(f map[string]string) {
		for key, value := range f {
			fields[key] = clean(strings.Trim(value, `"'`))
		}
	})
	return fields
}

// decode reads JSON of which each deeper level costs; nil when it is none.
func decode[T any](content io.Reader) *T {
	into := new(T)
	if json.NewDecoder(io.LimitReader(content, maxText)).Decode(into) != nil {
		return nil
	}
	return into
}

type lockedModule struct {
	Version      string                  `json:"version"`
	Link         bool                    `json:"link"`
	Dependencies map[string]lockedModule `json:"dependencies"`
}

// npm is a module by its name, @scope/name.
func npm(name, version string) component {
	scope, rest, scoped := strings.Cut(name, "/")
	if scoped && strings.HasPrefix(scope, "@") {
		return component{kind: "npm", group: scope, name: rest, version: version}
	}
	return component{kind: "npm", name: name, version: version}
}

// packageLock reads npm's lock file, of version 1 and of 2 and 3.
func packageLock(content io.Reader) (found []component) {
	lock := decode[struct {
		Packages     map[string]lockedModule    `json:"packages"`
		Dependencies map[string]json.RawMessage `json:"dependencies"`
	}](content)
	if lock == nil {
		return nil
	}
	for at, module := range lock.Packages {
		if i := strings.LastIndex(at, "node_modules/"); i >= 0 && !module.Link {
			found = append(found, npm(at[i+len("node_modules/"):], module.Version))
		}
	}
	if len(lock.Packages) > 0 {
		return found // the other list says the same
	}
	for name, raw := range lock.Dependencies {
		var module lockedModule
		if json.Unmarshal(raw, &module) == nil {
			found = append(found, npm(name, module.Version))
			found = append(found, nested(module.Dependencies)...)
		}
	}
	return found
}

func nested(modules map[string]lockedModule) (found []component) {
	for name, module := range modules {
		found = append(found, npm(name, module.Version))
		found = append(found, nested(module.Dependencies)...)
	}
	return found
}

// packageJSON reads what an installed module says of itself.
func packageJSON(content io.Reader) []component {
	module := decode[struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}](content)
	if module == nil || module.Version == "" { // parts of modules have a file of that name too
		return nil
	}
	return []component{npm(module.Name, module.Version)}
}

// composer reads PHP's lock file, but for what only development needs.
func composer(content io.Reader) (found []component) {
	lock := decode[struct {
		Packages []struct {
			Name    string `json:"name"`
			Version string `json:"version"`
		} `json:"packages"`
	}](content)
	if lock == nil {
		return nil
	}
	for _, p := range lock.Packages {
		vendor, name, ok := strings.Cut(p.Name, "/")
		if !ok {
			vendor, name = "", p.Name
		}
		found = append(found, component{kind: "composer", group: vendor, name: name, version: strings.TrimPrefix(p.Version, "v")})
	}
	return found
}

var lockedGem = regexp.MustCompile(`^    ([A-Za-z0-9][A-Za-z0-9._-]*) \(([^()\s]+)\)$`)

// gemfile reads Bundler's lock file.
func gemfile(content io.Reader) (found []component) {
	lines := bufio.NewScanner(io.LimitReader(content, maxText))
	for lines.Scan() {
		if gem := lockedGem.FindStringSubmatch(lines.Text()); gem != nil {
			found = append(found, component{kind: "gem", name: gem[1], version: gem[2]})
		}
	}
	return found
}

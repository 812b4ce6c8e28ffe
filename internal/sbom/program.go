package sbom

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"io"
	"os"
	"strings"
)

// program is a file that is read here and there.
type program interface {
	io.Reader
	io.ReaderAt
}

// elf looks whether a program was made by Go, which tells its modules.
func (c *contents) elf(header *tar.Header, content io.Reader) {
	magic := make([]byte, 4)
	if _, err := io.ReadFull(content, magic); err != nil || string(magic) != "\x7fELF" {
		return
	}
	c.program(header, io.MultiReader(bytes.NewReader(magic), content), goModules)
}

// program puts a file where it can be read here and there, while it is looked at.
func (c *contents) program(header *tar.Header, content io.Reader, look func(program) []component) {
	if header.Size > maxProgram || c.programs+header.Size > maxPrograms {
		c.truncated = true
		return
	}
	c.programs += header.Size
	file, err := os.CreateTemp(c.scratch, "program-")
	if err != nil {
		c.truncated = true
		return
	}
	defer func() { _ = file.Close(); _ = os.Remove(file.Name()) }() // the folder goes as a whole
	if _, err := io.Copy(file, content); err != nil {
		c.truncated = true
		return
	}
	c.add(look(file)...)
}

// goModules are the modules a Go program was built of.
func goModules(file program) (found []component) {
	defer func() {
		if recover() != nil { // a reader of ELF met what its author did not think of
			found = nil
		}
	}()
	info, err := buildinfo.Read(file)
	if err != nil {
		return nil
	}
	found = append(found, component{kind: "golang", name: "stdlib", version: strings.TrimPrefix(info.GoVersion, "go")})
	if info.Main.Path != "" {
		found = append(found, component{kind: "golang", name: info.Main.Path, version: strings.TrimPrefix(info.Main.Version, "(devel)")})
	}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		found = append(found, component{kind: "golang", name: module.Path, version: module.Version})
		if len(found) > maxComponents {
			break
		}
	}
	return found
}

// jar tells what an archive of Java says it is: the pom.properties of what it
// was made of, else its manifest.
func jar(file program, size int64, base string) (found []component) {
	archive, err := zip.NewReader(file, size)
	if err != nil {
		return nil
	}
	var manifest component
	for i, entry := range archive.File {
		if i > 100_000 || len(found) > 1000 {
			break
		}
		switch {
		case strings.HasPrefix(entry.Name, "META-INF/maven/") && strings.HasSuffix(entry.Name, "/pom.properties"):
			fields := zipped(entry, "=")
			found = append(found, component{kind: "maven", group: fields["groupId"], name: fields["artifactId"], version: fields["version"]})
		case entry.Name == "META-INF/MANIFEST.MF":
			fields := zipped(entry, ":")
			manifest = component{kind: "maven", name: fields["Implementation-Title"], version: fields["Implementation-Version"]}
			if manifest.name == "" {
				manifest.name, manifest.version = fields["Bundle-SymbolicName"], fields["Bundle-Version"]
			}
		}
	}
	if len(found) == 0 && manifest.name == "" {
		manifest = component{kind: "maven", name: strings.TrimSuffix(strings.TrimSuffix(base, ".jar"), ".war")}
	}
	if len(found) == 0 {
		found = append(found, manifest)
	}
	return found
}

// zipped reads a file of key and value lines, 64 KiB of it.
func zipped(entry *zip.File, between string) map[string]string {
	content, err := entry.Open()
	if err != nil {
		return nil
	}
	defer func() { _ = content.Close() }()
	text, _ := io.ReadAll(io.LimitReader(content, 64<<10)) // what could be read counts
	fields := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, between); ok {
			fields[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return fields
}

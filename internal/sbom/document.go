package sbom

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// document is what an image holds as CycloneDX 1.6. The same image has the
// same: it bears no time and no number of its own.
func (c *contents) document(ref string) ([]byte, error) {
	repository, digest, _ := strings.Cut(ref, "@")
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{
		Component: &cdx.Component{
			BOMRef: ref, Type: cdx.ComponentTypeContainer, Name: repository, Version: digest,
			PackageURL: "pkg:oci/" + url.PathEscape(repository) + "@" + url.PathEscape(digest),
		},
		Tools: &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "slipway"}}},
	}
	if c.truncated {
		bom.Compositions = &[]cdx.Composition{{Aggregate: cdx.CompositionAggregateIncomplete}}
	}
	slices.SortFunc(c.components, func(a, b component) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.group, b.group), cmp.Compare(a.name, b.name), cmp.Compare(a.version, b.version), cmp.Compare(a.arch, b.arch))
	})
	listed := make([]cdx.Component, 0, len(c.components)+1)
	if name := c.system["ID"]; name != "" {
		listed = append(listed, cdx.Component{
			BOMRef: "os", Type: cdx.ComponentTypeOS, Name: name, Version: c.system["VERSION_ID"], Description: c.system["PRETTY_NAME"],
		})
	}
	for _, one := range c.components {
		purl := one.purl(c.system["ID"])
		listed = append(listed, cdx.Component{
			BOMRef: purl, Type: cdx.ComponentTypeLibrary, Group: one.group, Name: one.name, Version: one.version, PackageURL: purl,
		})
	}
	bom.Components = &listed
	var out bytes.Buffer
	err := cdx.NewBOMEncoder(&out, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	return out.Bytes(), err
}

// purl is the component's package URL (github.com/package-url/purl-spec).
func (one component) purl(system string) string {
	parts := []string{"pkg:" + one.kind}
	switch one.kind {
	case "deb":
		parts = append(parts, cmp.Or(system, "debian"))
	case "apk":
		parts = append(parts, cmp.Or(system, "alpine"))
	}
	for part := range strings.SplitSeq(strings.Trim(one.group+"/"+one.name, "/"), "/") {
		parts = append(parts, escape(part))
	}
	purl := strings.Join(parts, "/")
	if one.version != "" {
		purl += "@" + escape(one.version)
	}
	if one.arch != "" {
		purl += "?arch=" + url.QueryEscape(one.arch)
	}
	return purl
}

// escape leaves what package URLs leave; "@" begins a version there.
func escape(part string) string {
	return strings.NewReplacer("@", "%40", "+", "%2B").Replace(url.PathEscape(part))
}

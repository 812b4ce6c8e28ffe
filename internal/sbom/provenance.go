package sbom

import (
	"encoding/json"
	"strings"
	"time"
)

// Origin is how an image came about: what is told of a build, and nothing of
// the app's config.
type Origin struct {
	App     string
	Build   string // uuid
	Kind    string // slug, dockerfile, cnb
	Commit  string // full hash
	Branch  string
	Builder string // URL that names the platform
	// Detected names what was recognised, such as "Go".
	Detected string
	// Stack is the image below a slug, repository@digest; empty: none.
	Stack          string
	Started, Ended time.Time
	Version        string // of Slipway
}

// The types of a statement (github.com/in-toto/attestation, slsa.dev).
const (
	statementType  = "https://in-toto.io/Statement/v1"
	provenanceType = "https://slsa.dev/provenance/v1"
	buildType      = "https://slipway-paas.github.io/build/v1"
)

type statement struct {
	Type          string      `json:"_type"`
	Subject       []subject   `json:"subject"`
	PredicateType string      `json:"predicateType"`
	Predicate     slsaPayload `json:"predicate"`
}

type subject struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest"`
}

type slsaPayload struct {
	BuildDefinition struct {
		BuildType            string            `json:"buildType"`
		ExternalParameters   map[string]string `json:"externalParameters"`
		InternalParameters   map[string]string `json:"internalParameters,omitempty"`
		ResolvedDependencies []subject         `json:"resolvedDependencies,omitempty"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID      string            `json:"id"`
			Version map[string]string `json:"version,omitempty"`
		} `json:"builder"`
		Metadata struct {
			InvocationID string `json:"invocationId"`
			StartedOn    string `json:"startedOn"`
			FinishedOn   string `json:"finishedOn"`
		} `json:"metadata"`
	} `json:"runDetails"`
}

// statement says of the image ref, repository@digest, where it came from.
func (o Origin) statement(ref string) ([]byte, error) {
	s := statement{Type: statementType, PredicateType: provenanceType, Subject: []subject{imageSubject(ref)}}
	definition := &s.Predicate.BuildDefinition
	definition.BuildType = buildType
	definition.ExternalParameters = map[string]string{"app": o.App, "branch": o.Branch, "kind": o.Kind}
	definition.InternalParameters = map[string]string{"detected": o.Detected}
	definition.ResolvedDependencies = []subject{{Name: "source", URI: "git+" + o.Builder + "/" + o.App + ".git", Digest: map[string]string{"gitCommit": o.Commit}}}
	if o.Stack != "" {
		below := imageSubject(o.Stack)
		below.Name, below.URI = "stack", "pkg:oci/"+below.Name
		definition.ResolvedDependencies = append(definition.ResolvedDependencies, below)
	}
	run := &s.Predicate.RunDetails
	run.Builder.ID = o.Builder
	if o.Version != "" {
		run.Builder.Version = map[string]string{"slipway": o.Version}
	}
	run.Metadata.InvocationID = o.Build
	run.Metadata.StartedOn, run.Metadata.FinishedOn = o.Started.UTC().Format(time.RFC3339), o.Ended.UTC().Format(time.RFC3339)
	return json.MarshalIndent(s, "", "  ")
}

func imageSubject(ref string) subject {
	name, digest, _ := strings.Cut(ref, "@")
	algorithm, hex, _ := strings.Cut(digest, ":")
	return subject{Name: name, Digest: map[string]string{algorithm: hex}}
}

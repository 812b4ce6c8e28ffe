package api

// Images are what an app's releases run, newest first, and what its
// repositories in the registry hold.
type Images struct {
	Images []Image `json:"images"`
	Used   int64   `json:"used" doc:"Bytes of all blobs of the app's repositories, each once."`
	Quota  int64   `json:"quota" doc:"Bytes they may have; 0: any number."`
}

// Image is one of them.
type Image struct {
	Image    string       `json:"image" example:"blog@sha256:…"`
	Digest   string       `json:"digest"`
	Kind     string       `json:"kind" enum:"slug,image,dockerfile,cnb"`
	Source   string       `json:"source" doc:"What was asked for; empty for a push."`
	Missing  bool         `json:"missing" doc:"The registry does not have it."`
	Size     int64        `json:"size" doc:"Compressed bytes of its layers."`
	Wasted   *int64       `json:"wasted" doc:"Bytes of files that a higher layer replaces or removes; null: nobody looked yet."`
	Layers   []ImageLayer `json:"layers"`
	Attached []Attached   `json:"attached" doc:"What refers to it, such as a bill of materials."`
	Builds   []string     `json:"builds"`
	Releases []int        `json:"releases"`
}

// ImageLayer is one layer, the lowest first.
type ImageLayer struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
	Shared bool   `json:"shared" doc:"Another image has it too, so that it takes no room of its own."`
}

// Attached is an artifact that refers to an image.
type Attached struct {
	Digest string `json:"digest"`
	Type   string `json:"type" example:"application/spdx+json"`
	Size   int64  `json:"size"`
}

// CollectImages asks for a collection of what nothing needs.
type CollectImages struct {
	DryRun bool `json:"dry_run,omitempty" doc:"Only tell what would go."`
}

// CollectedImages is what went, or would.
type CollectedImages struct {
	DryRun       bool  `json:"dry_run"`
	Manifests    int   `json:"manifests"`
	Layers       int   `json:"layers"`
	Uploads      int   `json:"uploads"`
	Blobs        int   `json:"blobs"`
	Repositories int   `json:"repositories"`
	Bytes        int64 `json:"bytes"`
	Skipped      int   `json:"skipped" doc:"In use just then."`
}

// ImageQuota bounds what an app's images may hold.
type ImageQuota struct {
	MiB *int64 `json:"mib" doc:"0: any number; null: what the platform's options say."`
}

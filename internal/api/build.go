package api

// Build is a source or an image, ready to run.
type Build struct {
	Owner      string            `json:"owner"`
	App        string            `json:"app"`
	Image      string            `json:"image" doc:"As who deployed it named it; of a push, as the platform's registry has it."`
	Pinned     string            `json:"pinned" doc:"What runs: repository@digest in the platform's registry."`
	Kind       string            `json:"kind" enum:"slug,image,dockerfile,cnb" doc:"How it came about."`
	Stack      string            `json:"stack,omitempty" doc:"The image below a slug: repository@digest."`
	Ports      []int             `json:"ports,omitempty" doc:"What the image exposes."`
	Size       int64             `json:"size,omitempty" doc:"Compressed bytes of its layers; absent: not known."`
	SHA        string            `json:"sha" doc:"First 8 characters of the commit; empty for an image."`
	Procfile   map[string]string `json:"procfile"`
	Dockerfile string            `json:"dockerfile"`
	Created    Time              `json:"created" format:"date-time"`
	Updated    Time              `json:"updated" format:"date-time"`
	UUID       string            `json:"uuid"`
}

// CreateBuild is the body of POST /v2/apps/<id>/builds/.
type CreateBuild struct {
	Image      string            `json:"image"`
	Procfile   map[string]string `json:"procfile,omitempty"`
	SHA        string            `json:"sha,omitempty" maxLength:"40"`
	Dockerfile string            `json:"dockerfile,omitempty"`
}

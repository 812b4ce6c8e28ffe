package api

// Key is an SSH public key of a user.
type Key struct {
	UUID        string `json:"uuid"`
	Owner       string `json:"owner"`
	Created     Time   `json:"created" format:"date-time"`
	Updated     Time   `json:"updated" format:"date-time"`
	ID          string `json:"id"`
	Public      string `json:"public"`
	Fingerprint string `json:"fingerprint" doc:"MD5 of the key, lower hex with colons."`
}

// CreateKey is the body of POST /v2/keys/.
type CreateKey struct {
	ID     string `json:"id" maxLength:"128"`
	Public string `json:"public" doc:"One authorized_keys line."`
}

(* qemu-sanlock.conf: the grammar is tested in Test_lockcfg_conf. *)

module Test_lockcfg_qemu_sanlock =

let conf = "#auto_disk_leases = 1
auto_disk_leases=1
host_id = 7 # the seventh

disk_lease_dir = \"/srv/sanlock\"
"

test Lockcfg_qemu_sanlock.lns get conf =
  { "#comment" = "auto_disk_leases = 1" }
  { "auto_disk_leases" = "1" }
  { "host_id" = "7" { "#comment" = "the seventh" } }
  { "#empty" }
  { "disk_lease_dir" = "/srv/sanlock" }

test Lockcfg_qemu_sanlock.lns put conf after
  set "/host_id" "8";
  set "/disk_lease_dir" "/srv/leases" =
"#auto_disk_leases = 1
auto_disk_leases=1
host_id = 8 # the seventh

disk_lease_dir = \"/srv/leases\"
"

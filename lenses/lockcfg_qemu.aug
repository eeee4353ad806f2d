(* /etc/libvirt/qemu.conf and an unprivileged user's ~/.config/libvirt/qemu.conf.
   The grammar, and how the tree looks: Lockcfg_conf. There is no autoload, so that this
   module never competes with libvirt's own lens for the file. *)

module Lockcfg_qemu =

let lns = Lockcfg_conf.lns

let filter = incl "/etc/libvirt/qemu.conf"
           . incl "/home/*/.config/libvirt/qemu.conf"
           . incl "/root/.config/libvirt/qemu.conf"

let xfm = transform lns filter

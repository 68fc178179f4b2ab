# shellcheck shell=bash
# An addon in the lab, and the ways in which others can come to write what is run with it.
# shellcheck disable=SC2034 # PLACE, BY and WRITABLE are for the suite

# An addon, and what lies above it, in a directory of the lab: SCRIPT.
addon() {
  ADDONS=$LAB/addons
  rm -rf "$ADDONS"
  mkdir -p "$ADDONS/mine" "$ADDONS/one" "$ADDONS/open"
  chmod 0777 "$ADDONS/open"
  SCRIPT=$ADDONS/mine/addon.py
  cp "$STAGE/usr/share/opensandbox/mitmscripts/add_header.py" "$SCRIPT"
  give MITMPROXY_SCRIPT="$SCRIPT"
}
# beside NAME [MODE]: a file of code in the addon's directory.
beside() {
  mkdir -p "$(dirname "$ADDONS/mine/$1")"
  echo >"$ADDONS/mine/$1"
  chmod "${2-0644}" "$ADDONS/mine/$1"
}
# An access control list that lets another user write, as setfacl would set it: setfacl need not
# be there. (Tags: 1 owner, 2 a user, 4 the group, 16 mask, 32 others.)
acl() {
  python3 - "$1" "$OTHER_UID" <<'PYTHON'
import os, struct, sys
entry = lambda tag, rights, who=0xffffffff: struct.pack("<HHI", tag, rights, who)
os.setxattr(sys.argv[1], "system.posix_acl_access", struct.pack("<I", 2) + entry(1, 6) +
            entry(2, 6, int(sys.argv[2])) + entry(4, 4) + entry(16, 6) + entry(32, 4))
PYTHON
}

# writable NAME: an addon that others can write in that way. PLACE is what has to be named, and BY
# who can.
WRITABLE=(
  'file, all' 'file, a group' 'file, group of root' 'file, group of the mitmproxy user'
  'file, an ACL' 'file of another user'
  'directory, all' 'directory, a group' 'directory, group of root' 'directory of another user'
  'directory, sticky' 'directory above' 'directory above, group of root'
  'link to it' 'relative link' 'link in an open directory' 'link above it'
  'link to a link' 'link to a link above it' 'link of another user'
  'byte code of another user' '__pycache__, all' '__pycache__, a link' '__pycache__, a link to nothing'
  'module, all' 'module, a group' 'module, a link' 'module, a link to nothing' 'data' 'device'
  'package' 'module of a package' 'byte code of a package' 'package, a link'
  'beside what a link leads to' '__pycache__, a link with a slash' '__pycache__, a link with a dot'
  'byte code of a package, a link' 'package, a link within' 'far below'
)
writable() {
  addon
  PLACE=$SCRIPT BY=everybody
  local mine=$ADDONS/mine one=$ADDONS/one open=$ADDONS/open
  case $1 in
    file*) writable_file "$1" ;;
    directory*) writable_directory "$1" ;;
    *link*) writable_link "$1" ;;
    *) writable_code "$1" ;;
  esac
  give MITMPROXY_SCRIPT="$SCRIPT"
}
writable_file() {
  case $1 in
    'file, all') chmod 0666 "$SCRIPT" ;;
    'file, a group') chgrp "$OTHER_UID" "$SCRIPT" && chmod 0664 "$SCRIPT" && BY="group $OTHER_UID" ;;
    'file, group of root') chmod 0664 "$SCRIPT" && BY='group 0' ;;
    'file, group of the mitmproxy user') chgrp "$MITM_UID" "$SCRIPT" && chmod 0664 "$SCRIPT" && BY="group $MITM_UID" ;;
    'file, an ACL') acl "$SCRIPT" && BY='group 0' ;;
    'file of another user') chown "$OTHER_UID" "$SCRIPT" && BY="owner $OTHER_UID" ;;
  esac
}
writable_directory() {
  PLACE=$mine
  case $1 in
    'directory, all') chmod 0777 "$mine" ;;
    'directory, a group') chgrp "$OTHER_UID" "$mine" && chmod 0775 "$mine" && BY="group $OTHER_UID" ;;
    'directory, group of root') chmod 0775 "$mine" && BY='group 0' ;;
    'directory of another user') chown "$OTHER_UID" "$mine" && BY="owner $OTHER_UID" ;;
    # Nobody replaces the addon there, but Python would take what is new beside it.
    'directory, sticky') chmod 1777 "$mine" ;;
    'directory above') chmod 0777 "$ADDONS" && PLACE=$ADDONS ;;
    'directory above, group of root') chmod 0775 "$ADDONS" && PLACE=$ADDONS BY='group 0' ;;
  esac
}
writable_link() {
  PLACE=$open
  case $1 in
    # The link is in a safe place, what it leads to is not.
    'link to it') mv "$SCRIPT" "$open" && ln -s "$open/addon.py" "$SCRIPT" ;;
    'relative link') mv "$SCRIPT" "$open" && ln -s ../open/addon.py "$SCRIPT" ;;
    # The other way round.
    'link in an open directory') ln -s "$SCRIPT" "$open/" && SCRIPT=$open/addon.py ;;
    'link above it') ln -s "$mine" "$open/mine" && SCRIPT=$open/mine/addon.py ;;
    # Both ends are safe, what is between is not.
    'link to a link') ln -s "$SCRIPT" "$open/" && ln -s ../open/addon.py "$one/" && SCRIPT=$one/addon.py ;;
    'link to a link above it') ln -s ../mine "$open/mine" && ln -s "$open/mine" "$one/mine" && SCRIPT=$one/mine/addon.py ;;
    # In a sticky directory it is its owner who can replace it.
    'link of another user')
      chmod 1777 "$open" && ln -s "$mine" "$open/mine" && chown -h "$OTHER_UID" "$open/mine"
      SCRIPT=$open/mine/addon.py PLACE=$open/mine BY="owner $OTHER_UID"
      ;;
    '__pycache__, a link') mkdir "$open/cache" && ln -s ../open/cache "$mine/__pycache__" ;;
    # Here it does not help that the directory is sticky: the name is free.
    '__pycache__, a link to nothing') chmod 1777 "$open" && ln -s ../open/cache "$mine/__pycache__" ;;
    # A slash behind it makes no difference to where it leads.
    '__pycache__, a link with a slash') chmod 1777 "$open" && mkdir -m 1777 "$open/cache" && ln -s ../open/cache/ "$mine/__pycache__" ;;
    '__pycache__, a link with a dot') chmod 1777 "$open" && mkdir -m 1777 "$open/cache" && ln -s ../open/cache//./. "$mine/__pycache__" ;;
    'byte code of a package, a link')
      beside helper/__init__.py && mkdir "$one/cache" && echo >"$one/cache/__init__.cpython-311.pyc" && chown "$OTHER_UID" "$one/cache"/*
      ln -s ../../one/cache "$mine/helper/__pycache__"
      PLACE=$mine/helper/__pycache__/__init__.cpython-311.pyc BY="owner $OTHER_UID"
      ;;
    'package, a link within')
      beside helper/__init__.py && mkdir "$one/part" && echo >"$one/part/inner.py" && chmod 0666 "$one/part/inner.py"
      ln -s ../../one/part "$mine/helper/part" && PLACE=$mine/helper/part/inner.py
      ;;
    'module, a link to nothing') chmod 1777 "$open" && ln -s ../open/new/helper.py "$mine/" ;;
    'module, a link') echo >"$open/helper.py" && ln -s ../open/helper.py "$mine/" ;;
    # As kubelet makes them.
    'package, a link')
      beside ..data/helper/__init__.py && beside ..data/helper/part.py 0666
      ln -s ..data/helper "$mine/" && PLACE=$mine/helper/part.py
      ;;
    # Python takes one from the link's directory, and one from that of the file.
    'beside what a link leads to') ln -s "$SCRIPT" "$one/" && SCRIPT=$one/addon.py && beside helper.py 0666 && PLACE=$mine/helper.py ;;
  esac
}
writable_code() {
  local name=__pycache__/addon.cpython-311.pyc
  case $1 in
    'byte code of another user') beside $name && chown "$OTHER_UID" "$mine/$name" && BY="owner $OTHER_UID" ;;
    '__pycache__, all') beside $name && name=__pycache__ && chmod 0777 "$mine/$name" ;;
    'module, all') name=helper.py && beside $name 0666 ;;
    'module, a group') name=helper.py && beside $name 0664 && chgrp "$OTHER_UID" "$mine/$name" && BY="group $OTHER_UID" ;;
    # Whatever it is: an addon may read it, or Python may take it for code.
    'data') name=rules.txt && beside $name 0666 ;;
    'device') name=random && mknod -m 0666 "$mine/$name" c 1 8 ;;
    'far below') name=a/b/c/d/e/data.json && beside $name 0666 ;;
    'package') name=helper && beside $name/__init__.py && chmod 0777 "$mine/$name" ;;
    'module of a package') name=helper/part.py && beside helper/__init__.py && beside $name 0666 ;;
    'byte code of a package') name=helper/__pycache__/part.cpython-311.pyc && beside helper/__init__.py && beside $name 0666 ;;
  esac
  PLACE=$mine/$name
}
